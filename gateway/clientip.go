package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ipv6Prefix is what one customer of a network provider gets: to a limiter,
// all of its addresses are one client.
const ipv6Prefix = 64

// clientAddress returns the address of the client. It is the peer of the
// connection, unless hops proxies of ours stand in front: then it is the
// hops-th entry from the right of all X-Forwarded-For headers, read as one
// list, since each of our proxies appended the address that it saw. What lies
// further left, the client wrote itself.
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

// peerAddress reads an address with or without a port. An address of another
// kind of network, such as an in-memory one, is the zero Addr.
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

// limitKey is the address as the limiter counts it.
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

// addressText is the address as the services get it: empty when unknown.
func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}
