package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ipv6Prefix is the length of the prefix that a network provider assigns to one
// customer. The limiter counts all addresses with the same prefix as one client.
const ipv6Prefix = 64

// clientAddress returns the address of the client. Without trusted proxies it is the peer
// of the connection. Behind hops trusted proxies it is the hops-th entry from the right
// of all X-Forwarded-For headers, read as one list, because each of these proxies appends
// the address of its peer. The client itself may have written the entries before it.
func clientAddress(r *http.Request, hops int) netip.Addr {
	peer := peerAddress(r.RemoteAddr)
	if hops <= 0 {
		return peer
	}
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(entries) < hops {
		return peer
	}
	addr := peerAddress(strings.TrimSpace(entries[len(entries)-hops]))
	if !addr.IsValid() {
		return peer
	}
	return addr
}

// peerAddress parses an address with or without a port. It returns the zero Addr for an
// address of another kind of network, such as one in memory.
func peerAddress(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// limitKey returns the key under which the limiter counts an address.
func limitKey(addr netip.Addr) string {
	if !addr.Is6() {
		return addr.String()
	}
	prefix, err := addr.Prefix(ipv6Prefix)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}

// addressText returns the address for the services and the log. It is "" when unknown.
func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}
