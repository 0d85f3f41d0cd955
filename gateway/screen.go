package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// maxCredential bounds the Authorization header, in bytes. A longer one is refused before
// it is decoded.
const maxCredential = 8 << 10

// plainPath reports whether all programs read a path alike. Programs differ in how they
// read "a//b", "a/%2e%2e/b", "a%2Fb" or "a;x/b". When one program checks a rule and another
// one serves the resource, an attacker can use the difference. No route needs such paths.
func plainPath(u *url.URL) bool {
	if !utf8.ValidString(u.Path) || !strings.HasPrefix(u.Path, "/") {
		return false
	}
	escaped := strings.ToLower(u.EscapedPath())
	for _, ambiguous := range []string{"//", ";", "\\", "%2e", "%2f", "%5c", "%3b", "%25"} {
		if strings.Contains(escaped, ambiguous) {
			return false
		}
	}
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return strings.IndexFunc(u.Path, func(c rune) bool { return c < ' ' || c == 0x7f }) < 0
}

// screenQuery bounds a query, and refuses a credential in it, because logs and the
// histories of browsers store queries (RFC 9700 section 4.3.2).
func screenQuery(r *http.Request) *fault.Fault {
	if strings.Count(r.URL.RawQuery, "&") >= httpio.MaxParameters {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "more than %d query parameters", httpio.MaxParameters)
	}
	if !strings.Contains(r.URL.RawQuery, "=") {
		return nil
	}
	query := r.URL.Query()
	for _, name := range []string{"access_token", "accessToken", "authorization", "api_key", "apiKey", "token"} {
		if query.Has(name) {
			return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED,
				"send the credential in the Authorization header, not in the query")
		}
	}
	return nil
}

const (
	// ticketParam is the query parameter for a ticket.
	ticketParam = "ticket"
	maxTicket   = 128
)

// takeTicket moves a ticket from the query of a run's events to the Authorization
// header, because the EventSource of a browser cannot send headers. After that the ticket
// is a credential like any other: it is in no log, trace or error.
func takeTicket(r *http.Request) *fault.Fault {
	if !strings.Contains(r.URL.RawQuery, ticketParam) || r.Method != http.MethodGet ||
		!strings.HasPrefix(r.URL.Path, "/v1/runs/") || !strings.HasSuffix(r.URL.Path, "/events") {
		return nil
	}
	query := r.URL.Query()
	tickets, has := query[ticketParam]
	if !has {
		return nil
	}
	if len(tickets) > 1 || r.Header.Get("Authorization") != "" {
		return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "send one ticket, or an Authorization header, and not both")
	}
	if len(tickets[0]) > maxTicket || strings.ContainsFunc(tickets[0], func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "the ticket is malformed")
	}
	query.Del(ticketParam)
	r.URL.RawQuery = query.Encode()
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Authorization", rpcserver.SchemeTicket+" "+tickets[0])
	return nil
}

// screenCredential refuses ambiguous credentials, and credentials in places that leak.
// Two headers are ambiguous, because two programs may use different ones.
func screenCredential(r *http.Request) *fault.Fault {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "more than one Authorization header")
	}
	if len(values) == 1 && len(values[0]) > maxCredential {
		return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "the credential is too long")
	}
	if len(values) == 1 && strings.ContainsFunc(values[0], func(c rune) bool { return c < ' ' || c > '~' }) {
		return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "the credential has characters that are not allowed")
	}
	return screenQuery(r)
}

// screenEncoding refuses two headers for the same encoding, and a compressed message in a
// Connect GET. Of two headers the gateway would use the first and a service the last. Then
// the gateway could take a compressed message for a plain one, and would not ask the
// service whether the caller may make the call.
func screenEncoding(r *http.Request) *fault.Fault {
	for _, name := range encodingHeaders() {
		if len(r.Header.Values(name)) > 1 {
			return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "more than one %s header", name)
		}
	}
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, rpcPrefix) || !strings.Contains(r.URL.RawQuery, "=") {
		return nil
	}
	for _, compression := range r.URL.Query()["compression"] {
		if compression != "" && compression != identityEncoding {
			return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the message of a GET must not be compressed")
		}
	}
	return nil
}

// identityEncoding is the name of the encoding without compression.
const identityEncoding = "identity"

// encodingHeaders are the headers that name how a message is compressed.
func encodingHeaders() []string {
	return []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"}
}

// isPacked reports whether a message may be compressed. It returns false only when every
// encoding header is empty or identity.
func isPacked(h http.Header) bool {
	for _, name := range encodingHeaders() {
		for _, encoding := range h.Values(name) {
			if encoding != "" && encoding != identityEncoding {
				return true
			}
		}
	}
	return false
}
