// Package origin validates web origins, as browsers send them in the header Origin.
package origin

import (
	"net/url"
	"strconv"
	"strings"
)

// maxLength is the length of an origin with the longest host name.
const maxLength = 270

// Valid reports whether s is a serialized web origin (RFC 6454) of http or https, in
// exactly the form that a browser sends. So origins can be compared as strings. An origin
// has no path, no wildcard, no upper case and no default port, and an internationalized
// name is in its ASCII form. The opaque origin "null" is not valid.
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
