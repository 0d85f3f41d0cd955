// Package egress makes the HTTP clients for addresses that are not ours.
//
// Whatever they reach answers in time and in bounds, or not at all: a client has a
// deadline for the whole exchange and reads no body past a limit. It follows no
// redirect, which could lead elsewhere than what was asked for, and takes no proxy.
//
// A guarded client is for addresses that others than the operator choose. It looks
// at each address after its name was resolved, as it connects, so that a name that
// resolves anew changes nothing, and refuses what is not on the public internet.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// timeout bounds an exchange, with its body.
	timeout = 10 * time.Second
	// maxBody bounds an answer's body.
	maxBody = 1 << 20
	// idle bounds how long a connection is kept for the next exchange.
	idle = 30 * time.Second
)

// Open returns a client that goes wherever it is told: for the operator's own
// settings.
func Open() *http.Client { return client(&net.Dialer{Timeout: timeout}) }

// Guarded returns a client that reaches the public internet and what is allowed
// beside it, on any port.
func Guarded(allowed []netip.Prefix) *http.Client {
	var v4, v6 []netip.Prefix
	for _, prefix := range allowed {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return client(&net.Dialer{Timeout: timeout, Control: guard.Safe})
}

// Denied tells whether an exchange failed because its address may not be reached.
func Denied(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort)
}

// ParsePrefixes reads CIDRs, and reports every one that is none.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	var problems []error
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q is no CIDR", text))
			continue
		}
		out = append(out, prefix.Masked())
	}
	return out, errors.Join(problems...)
}

func client(dialer *net.Dialer) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: bounded{&http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			IdleConnTimeout: idle, MaxIdleConnsPerHost: 2, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts bodies that are too long.
type bounded struct{ next *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the transport.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }
