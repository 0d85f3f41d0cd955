package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxStreams is how many streams one client may have open at once.
	maxStreams = 100
	// readerTimeout closes the stream of a client that reads nothing.
	readerTimeout = 30 * time.Second
)

// errDraining is the cause with which streams end when the gateway stops.
var errDraining = errors.New("the gateway is stopping")

// streams are the open streams of all protocols. It counts them, bounds how many one
// client has open, and ends them when the gateway stops.
type streams struct {
	// limited reports whether the streams of a client are bounded.
	limited bool
	counter *streamCounter
	gauge   metric.Int64UpDownCounter
	// readerTimeout closes the stream of a client that reads nothing.
	readerTimeout time.Duration

	draining context.Context //nolint:containedctx // its end is the signal
	drain    context.CancelFunc
}

func newStreams(limited bool, gauge metric.Int64UpDownCounter) *streams {
	s := &streams{
		limited: limited, gauge: gauge, readerTimeout: readerTimeout,
		counter: &streamCounter{open: map[streamKey]int{}},
	}
	s.draining, s.drain = context.WithCancel(context.Background()) //nolint:forbidigo // it ends when the gateway stops
	return s
}

// enter opens the stream of a request. The returned context also ends when the gateway
// stops. The caller calls leave at the end of the stream. It refuses a stream when the
// client has too many open.
func (s *streams) enter(r *http.Request) (ctx context.Context, leave func(), err error) {
	uncount := func() {}
	if s.limited {
		var ok bool
		if uncount, ok = s.counter.enter(streamKeyOf(r)); !ok {
			return nil, nil, fault.New(faultv1.Reason_REASON_RATE_LIMITED, "more than %d open streams", maxStreams)
		}
	}
	request := r.Context()
	s.gauge.Add(request, 1)
	ctx, cancel := context.WithCancelCause(request)
	unbind := context.AfterFunc(s.draining, func() { cancel(errDraining) })
	return ctx, func() {
		unbind()
		cancel(context.Canceled)
		uncount()
		s.gauge.Add(request, -1)
	}, nil
}

// drainError returns the error of a stream. When the gateway is stopping, it returns a
// fault that says so.
func drainError(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errDraining) {
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "this gateway is stopping").
			WithRetryAfter(time.Second)
	}
	return err
}

// streamCounter bounds how many streams one client has open. A client that opens
// streams and reads none must not use up the resources of others.
type streamCounter struct {
	mu   sync.Mutex
	open map[streamKey]int
}

// streamKey is a hash of the owner of a stream.
type streamKey [sha256.Size]byte

// streamKeyOf returns the bucket in which a stream is counted. It depends on the
// principal, not on the form of the header or on which of its tokens the client
// sends:
//
//   - an access token counts for its subject. The gateway verifies no token, so
//     the subject is only a claim, and the bucket is that of the subject at this
//     address: a client that forges a token with another user's subject uses up
//     nothing of that user's bucket at another address. A client with many addresses
//     has a bucket at each. The service bounds it, because it counts verified users;
//   - any other credential, such as an API key, counts for itself, because only its
//     holder can send it;
//   - without a credential, the address counts.
func streamKeyOf(r *http.Request) streamKey {
	address := limitKey(exchangeOf(r.Context()).client)
	scheme, credential := credentialOf(r)
	if scheme == "" {
		return hashKey("address", address)
	}
	if subject := claimedSubject(credential); scheme == "bearer" && subject != "" {
		return hashKey("subject", subject, address)
	}
	return hashKey("credential", scheme, credential)
}

// hashKey hashes parts. They must not contain NUL.
func hashKey(parts ...string) streamKey { return sha256.Sum256([]byte(strings.Join(parts, "\x00"))) }

// credentialOf splits the Authorization header into its scheme and its
// credential. The scheme is in lower case, because schemes are case-insensitive
// (RFC 9110 section 11.1). Both are empty when there is none.
func credentialOf(r *http.Request) (scheme, credential string) {
	scheme, credential, _ = strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	return strings.ToLower(scheme), strings.TrimSpace(credential)
}

// claimedSubject returns the subject that an access token claims, or "" when the
// credential is not a token. It verifies nothing.
func claimedSubject(credential string) string {
	parts := strings.Split(credential, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil || strings.Contains(claims.Subject, "\x00") {
		return ""
	}
	return claims.Subject
}

// enter counts a stream. The caller calls leave at its end. It reports false when the
// client has too many streams open.
func (c *streamCounter) enter(key streamKey) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key] >= maxStreams {
		return nil, false
	}
	c.open[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open[key]--; c.open[key] <= 0 {
			delete(c.open, key)
		}
	}, true
}
