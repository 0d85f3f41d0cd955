package site

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// formLimit is the largest body of a form, in bytes.
const formLimit = 8 << 10

// readOwnForm reads a form that a page of this site sent. guard refuses the forms of
// other sites.
func readOwnForm(guard *http.CrossOriginProtection, w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := guard.Check(r); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_PERMISSION_DENIED, "this form is only accepted from a page of this site")
	}
	return readForm(w, r)
}

// readForm reads a form that any page or program may send.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, fault.New(faultv1.Reason_REASON_UNSUPPORTED_MEDIA_TYPE, "this page reads application/x-www-form-urlencoded")
	}
	defer httpio.ReadDeadline(w, httpio.BodyTimeout)()
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formLimit))
	if err != nil {
		return nil, httpio.BodyError(err)
	}
	return parseValues(string(raw))
}

// parseValues parses a form or a query. It refuses text that is not UTF-8, because
// the messages to the services cannot hold it.
func parseValues(raw string) (url.Values, error) {
	if strings.Count(raw, "&") >= httpio.MaxParameters {
		return nil, fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the form or query has more than %d values", httpio.MaxParameters)
	}
	values, err := url.ParseQuery(raw)
	for name, all := range values {
		if !utf8.ValidString(name) || slices.ContainsFunc(all, func(value string) bool { return !utf8.ValidString(value) }) {
			err = errors.New("gateway: a value is not UTF-8")
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the form or query cannot be read")
	}
	return values, nil
}

// single returns the parameters of an OAuth request, in which none may be repeated
// (RFC 6749 section 3.1).
func single(values url.Values) (map[string]string, error) {
	out := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) != 1 {
			return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_REQUEST, "the parameter %.64q is repeated", name)
		}
		out[name] = all[0]
	}
	return out, nil
}

// localPath returns the path on this origin to which a browser is finally sent: the
// requested path, or the start page when that is not a path as the contract requires.
// A browser reads a backslash as a slash, removes control characters, and opens
// another host for a path that begins with two slashes.
func localPath(path string) string {
	ambiguous := strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f })
	if ambiguous || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "/"
	}
	return path
}
