package origin_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/origin"
)

// S55: a text that no browser would send is not a valid origin.
func TestS55OriginsAreExact(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://example.com", "http://localhost:3000", "https://a-b.example.co.uk:8443", "http://127.0.0.1:8080", "http://[::1]:8080",
		"https://xn--bcher-kva.example", "http://example.com:443", "https://my_host",
	} {
		if !origin.Valid(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", "null", "*", "example.com", "//example.com", "https://", "https:///", "https://example.com/", "https://example.com/path",
		"https://example.com?", "https://example.com?q", "https://example.com#", "https://*.example.com", "https://*", "https://Example.com",
		"HTTPS://example.com", "https://user@example.com", "https://user:password@example.com", "https://example.com:443", "http://example.com:80",
		"https://example.com:", "https://example.com:0", "https://example.com:08443", "https://example.com:65536", "https://example.com:https",
		"ftp://example.com", "file://", "chrome-extension://abcdef", "javascript:alert(1)", "https://bücher.example", "https://example.com ",
		" https://example.com", "https://example.com\n", "https://exa mple.com", "https://example.com,https://evil.com", "https://%65xample.com",
		"https://example.com\x00", "https://:8443", "https://" + strings.Repeat("a", 300),
	} {
		if origin.Valid(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}
