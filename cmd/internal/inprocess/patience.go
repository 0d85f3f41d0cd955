package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxWait is the longest Retry-After that a patient client waits for. The limit on wrong
	// passwords has a longer one, so tests of that limit receive the refusal.
	maxWait = 3 * time.Second
	// maxTries limits how often a call is tried.
	maxTries = 20
)

// Client returns a client that waits and retries when a rate limit refuses a request, as a user's
// program would. So tests that make many calls pass with rate limits on, and still receive every
// other refusal.
func Client() *http.Client { return &http.Client{Transport: Patient(nil)} }

// Patient wraps a transport so that it waits for rate limits; see [Client]. With nil it wraps the
// transport that all tests share.
func Patient(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return patient{next}
}

type patient struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (p patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := p.next.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests || try == maxTries {
			return resp, err
		}
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		wait := time.Duration(after) * time.Second
		if err != nil || wait > maxWait || req.Body != nil && req.GetBody == nil {
			return resp, nil //nolint:nilerr // the caller reads the refusal
		}
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is reused
		_ = resp.Body.Close()
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
		if req, err = repeated(req); err != nil {
			return nil, err
		}
	}
}

// repeated returns a copy of a request, with its body from the beginning.
func repeated(req *http.Request) (*http.Request, error) {
	fresh := req.Clone(req.Context())
	if req.GetBody == nil {
		return fresh, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("repeat the body: %w", err)
	}
	fresh.Body = body
	return fresh, nil
}

func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Patiently retries a gRPC call while a rate limit refuses it.
func Patiently(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		if !fault.Is(err, faultv1.Reason_REASON_RATE_LIMITED) || try == maxTries {
			return err
		}
		if waited := pause(ctx, time.Second); waited != nil {
			return errors.Join(err, waited)
		}
	}
}
