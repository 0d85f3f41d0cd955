package postgres

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Plaintext reports whether a connection string may connect to another host without
// TLS. It uses the parser of the driver, so it covers every form that the driver
// accepts: a URL, keywords and values ("host=db sslmode=disable"), several hosts, a
// service file and the PG* variables. A mode that falls back to plain text, such as
// the default "prefer", counts as plain text. Unix sockets and loopback addresses
// count as this host. The error does not contain the string, which may contain a
// password.
func Plaintext(connString string) (bool, error) {
	parsed, err := pgx.ParseConfig(connString)
	if err != nil {
		return false, errors.New("postgres: the connection string cannot be read")
	}
	if parsed.TLSConfig == nil && !thisHost(parsed.Host) {
		return true, nil
	}
	for _, fallback := range parsed.Fallbacks {
		if fallback.TLSConfig == nil && !thisHost(fallback.Host) {
			return true, nil
		}
	}
	return false, nil
}

// thisHost reports whether a host of a connection string is this machine.
func thisHost(host string) bool {
	if strings.HasPrefix(host, "/") || strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
