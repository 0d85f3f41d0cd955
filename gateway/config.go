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

// defaultDrain is how long a stopping gateway waits for requests in flight.
const defaultDrain = 20 * time.Second

// defaultQuota is what one client address may do. It is wide, since an office
// shares an address; the services limit each caller more tightly.
var defaultQuota = limit.Quota{Name: "address", PerMinute: 6000, Burst: 600} //nolint:gochecknoglobals // a constant

// Config is what differs between installations.
type Config struct {
	// PublicURL is where clients find the gateway, for example
	// "https://gatehouse.example.com". Over https, browsers are told to stay
	// there (HSTS).
	PublicURL string
	// CORSOrigins are the exact origins whose pages may call the API. "*" is
	// refused.
	CORSOrigins []string
	// TrustedProxyHops is how many proxies in front may add to
	// X-Forwarded-For. With 0 the header is ignored.
	TrustedProxyHops int
	// RateLimits says whether client addresses are limited, and open streams
	// with them.
	RateLimits bool
	// Local loosens what is only dangerous on a network: PublicURL may be
	// plain http.
	Local bool
	// Version is told by /version and by the pages.
	Version string
	// AddressQuota is what one client address may do; 6000 a minute with a
	// burst of 600 when zero.
	AddressQuota limit.Quota
	// DrainTimeout bounds how long Run waits for requests in flight after its
	// context ended; 20 s when zero.
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

// loopback tells whether a host is this machine, to which nothing is in between.
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// withDefaults fills in what was left zero.
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
	// Tokens gives the gateway its own credentials towards the services.
	Tokens rpcclient.TokenSource
	// Log gets one line per request.
	Log *slog.Logger
	// Tracer and Meter are where requests are traced and counted.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Clock paces the heartbeats of streams and measures requests.
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
