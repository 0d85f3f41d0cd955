// Package egress creates HTTP clients for servers outside of the installation.
//
// A client has a deadline for the whole exchange, and a limit for the size of a body. It
// follows no redirect, because the redirect could lead to another server, and uses no
// proxy.
//
// A guarded client is for addresses that the operator has not chosen. It refuses
// addresses that are not on the public internet. It checks the resolved address when it
// connects, so a name that resolves to another address later cannot bypass the check.
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
	// timeout bounds an exchange, including its body.
	timeout = 10 * time.Second
	// maxBody bounds the body of a response, in bytes.
	maxBody = 1 << 20
	// idle bounds how long a connection is kept for the next exchange.
	idle = 30 * time.Second
)

// Open returns a client that may connect to every address. It is for the addresses in the
// operator's settings.
func Open() *http.Client { return client(&net.Dialer{Timeout: timeout}) }

// Guarded returns a client that may connect to the public internet and to the allowed
// networks, on any port.
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

// Denied reports whether an exchange failed because its address is not allowed.
func Denied(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort)
}

// ParsePrefixes parses CIDRs. Its error lists every text that is not a CIDR.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	var problems []error
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q is not a CIDR", text))
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

// bounded limits the size of response bodies.
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

// CloseIdleConnections makes [http.Client.CloseIdleConnections] work for the transport.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }
