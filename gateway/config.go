package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/limit"
	"github.com/gatehouse/gatehouse/platform/origin"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
)

// defaultDrain is how long a gateway that stops waits for open requests.
const defaultDrain = 20 * time.Second

// defaultQuota is the rate limit of one client address. It is high, because all users of
// an office share an address. The services have lower limits for each caller.
var defaultQuota = limit.Quota{Name: "address", PerMinute: 6000, Burst: 600} //nolint:gochecknoglobals // a constant

// Config is the configuration of a gateway.
type Config struct {
	// PublicURL is the address at which clients reach the gateway, for example
	// "https://gatehouse.example.com". With https, the gateway tells browsers to use
	// https alone (HSTS).
	PublicURL string
	// CORSOrigins are the exact origins whose pages may call the API. "*" is
	// refused.
	CORSOrigins []string
	// TrustedProxyHops is how many trusted proxies are in front of the gateway, each of
	// which appends to X-Forwarded-For. With 0 the header is ignored.
	TrustedProxyHops int
	// RateLimits enables the limits on requests of a client address and on open streams.
	RateLimits bool
	// Local is for a gateway on a developer's machine. It allows plain http in
	// PublicURL.
	Local bool
	// Version is the version that /version and the pages show.
	Version string
	// AddressQuota is the rate limit of one client address. When zero, it is 6000 requests
	// a minute with a burst of 600.
	AddressQuota limit.Quota
	// DrainTimeout bounds how long Run waits for open requests after its context has
	// ended. When zero, it is 20 s.
	DrainTimeout time.Duration
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		problems = append(problems, fmt.Errorf("public URL %q: must be http(s)://host[:port]", c.PublicURL))
	case u.Scheme == "http" && !c.Local && !loopback(u.Hostname()):
		problems = append(problems, fmt.Errorf("public URL %q: must be https outside of local", c.PublicURL))
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		problems = append(problems, fmt.Errorf("public URL %q: must have no path, query or fragment", c.PublicURL))
	}
	for _, listed := range c.CORSOrigins {
		if !origin.Valid(listed) {
			problems = append(problems, fmt.Errorf("CORS origin %q: must be exactly scheme://host[:port]", listed))
		}
	}
	if c.TrustedProxyHops < 0 {
		problems = append(problems, fmt.Errorf("trusted proxy hops %d: must not be negative", c.TrustedProxyHops))
	}
	if c.AddressQuota.PerMinute < 0 || c.AddressQuota.Burst < 0 {
		problems = append(problems, errors.New("address quota: must not be negative"))
	}
	if c.DrainTimeout < 0 {
		problems = append(problems, fmt.Errorf("drain timeout %s: must not be negative", c.DrainTimeout))
	}
	return errors.Join(problems...)
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// withDefaults returns the configuration with defaults for the fields that are zero.
func (c Config) withDefaults() Config {
	if c.AddressQuota.PerMinute == 0 {
		c.AddressQuota = defaultQuota
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrain
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	return c
}

// Deps is what a gateway needs; all of it.
type Deps struct {
	// Auth, Management and Chat are the services behind the gateway. Chat
	// serves gatehouse.knowledge.v1 too. The name of each is the audience of
	// the service tokens for it.
	Auth, Management, Chat rpcclient.Peer
	// Tokens issues the service tokens with which the gateway calls the services.
	Tokens rpcclient.TokenSource
	// Log receives one line per request.
	Log *slog.Logger
	// Tracer and Meter trace and count requests.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Clock is for the pings of streams and the duration of requests.
	Clock clock.Clock
}

// check reports every dependency that is missing.
func (d Deps) check() error {
	var problems []error
	require := func(present bool, name string) {
		if !present {
			problems = append(problems, fmt.Errorf("%s is required", name))
		}
	}
	for name, peer := range map[string]rpcclient.Peer{"Auth": d.Auth, "Management": d.Management, "Chat": d.Chat} {
		require(peer.Name != "" && peer.DialContext != nil, name)
	}
	require(d.Tokens != nil, "Tokens")
	require(d.Log != nil, "Log")
	require(d.Tracer != nil, "Tracer")
	require(d.Meter != nil, "Meter")
	require(d.Clock != nil, "Clock")
	return errors.Join(problems...)
}
