// Package origin knows what browsers say that a page comes from.
package origin

import (
	"net/url"
	"strconv"
	"strings"
)

// maxLength is what the longest host name makes, with scheme and port.
const maxLength = 270

// Valid tells whether s is a serialized web origin (RFC 6454) of http or https, in
// exactly the spelling in which a browser sends it, so that origins compare as
// texts: no path, no wildcard, no upper case, no port that is the scheme's own, an
// internationalized name in its ASCII form. The opaque origin, "null", is none.
func Valid(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxLength || u.Hostname() == "" || s != u.Scheme+"://"+u.Host || strings.HasSuffix(s, ":") {
		return false
	}
	for _, r := range u.Host {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_[:]", r) {
			return false
		}
	}
	own := map[string]int{"https": 443, "http": 80}[u.Scheme]
	if u.Port() == "" {
		return own != 0
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && own != 0 && port != own && port > 0 && port < 1<<16 && strconv.Itoa(port) == u.Port()
}
