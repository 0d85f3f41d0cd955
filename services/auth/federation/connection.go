package federation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/egress"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// discoveryTTL is how long what a provider says of itself is believed. Its keys are
	// looked up as their ids appear.
	discoveryTTL = time.Hour
	// discoveryTimeout bounds asking for it, on behalf of all who wait.
	discoveryTimeout = 10 * time.Second
	// maxConnections bounds how many providers are remembered.
	maxConnections = 500
)

// connection is a provider as it was found.
type connection struct {
	provider Provider
	client   *http.Client
	clock    clock.Clock
	oauth    oauth2.Config
	// openID is nil for GitHub.
	openID *oidc.Provider
	keys   oidc.KeySet
	rules  oidc.Config
	// issuer is what the provider says of itself; Microsoft's has a gap for the tenant.
	issuer string
	// sendsIss says that its answers have an iss parameter.
	sendsIss bool
	found    time.Time
	// failed is why it was not found.
	failed error
}

// fresh tells whether a connection, or that there was none, is still believed.
func (c *connection) fresh(now time.Time) bool {
	if c.failed != nil {
		return now.Sub(c.found) < retryAfter
	}
	return now.Sub(c.found) < discoveryTTL
}

// connections remembers providers.
type connections struct {
	known  *lru.Cache[string, *connection]
	flight singleflight.Group
	clock  clock.Clock
	// open reaches the operator's providers, guarded those of organizations.
	open, guarded *http.Client
}

func newConnections(clk clock.Clock, allowed []netip.Prefix) (*connections, error) {
	known, err := lru.New[string, *connection](maxConnections)
	if err != nil {
		return nil, fmt.Errorf("federation: %w", err)
	}
	return &connections{known: known, clock: clk, open: egress.Open(), guarded: egress.Guarded(allowed)}, nil
}

// connect returns the connection to a provider. Of those who ask at once for one that
// is not known, one asks the provider; and one that does not answer is left alone for a
// moment, as anybody may ask for it.
func (s *Service) connect(ctx context.Context, p Provider) (*connection, error) {
	cs := s.connections
	key := p.fingerprint()
	if c, ok := cs.known.Get(key); ok && c.fresh(cs.clock.Now()) {
		return c, c.failed
	}
	done := cs.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryTimeout)
		defer cancel()
		client := cs.open
		if p.owner != nil {
			client = cs.guarded
		}
		c, err := discover(ctx, p, client, cs.clock)
		if err != nil {
			c.failed = unreachable(err)
		}
		cs.known.Add(key, c)
		return c, c.failed
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-done:
		c, _ := result.Val.(*connection)
		return c, result.Err
	}
}

// fingerprint names a provider with its settings: with others it is another one.
func (p Provider) fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{p.ID, string(p.Kind), p.Issuer, p.ClientID, p.ClientSecret.Reveal()}))
	return hex.EncodeToString(sum[:])
}

// unreachable tells an address that may not be reached from one that does not answer.
func unreachable(err error) error {
	if egress.Denied(err) {
		return fault.Wrap(err, faultv1.Reason_REASON_EGRESS_DENIED, "the identity provider's address may not be reached")
	}
	return unavailable(err)
}

// discover asks a provider what it says of itself.
func discover(ctx context.Context, p Provider, client *http.Client, clk clock.Clock) (*connection, error) {
	c := &connection{provider: p, client: client, clock: clk, found: clk.Now()}
	c.oauth = oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), Scopes: p.scopes()}
	if p.Kind == GitHub {
		c.issuer = p.Issuer
		c.oauth.Endpoint = oauth2.Endpoint{
			AuthURL: p.Issuer + "/login/oauth/authorize", TokenURL: p.Issuer + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
		}
		return c, nil
	}
	ctx = oidc.ClientContext(ctx, client)
	if p.Kind == Microsoft {
		ctx = oidc.InsecureIssuerURLContext(ctx, "") // compared below, and with each token's tenant
	}
	var err error
	if c.openID, err = oidc.NewProvider(ctx, p.Issuer); err != nil {
		return c, fmt.Errorf("federation: discovery: %w", err)
	}
	return c, c.configure(ctx)
}

// metadata is what a provider says of itself (OpenID Connect discovery section 3).
type metadata struct {
	Issuer      string   `json:"issuer"`
	Keys        string   `json:"jwks_uri"`
	UserInfo    string   `json:"userinfo_endpoint"`
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIss    bool     `json:"authorization_response_iss_parameter_supported"`
}

func asymmetric() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
}

// configure takes over what the provider said of itself.
func (c *connection) configure(ctx context.Context) error {
	var m metadata
	if err := c.openID.Claims(&m); err != nil {
		return fmt.Errorf("federation: discovery: %w", err)
	}
	if c.provider.Kind == Microsoft && !strings.HasPrefix(m.Issuer, origin(c.provider.Issuer)+"/") {
		return fmt.Errorf("federation: discovery: the issuer %q is elsewhere", m.Issuer)
	}
	endpoint := c.openID.Endpoint()
	for name, address := range map[string]string{"authorization": endpoint.AuthURL, "token": endpoint.TokenURL, "keys": m.Keys, "userinfo": m.UserInfo} {
		if name == "userinfo" && address == "" {
			continue
		}
		// A query is allowed in endpoints (RFC 6749 section 3.1).
		address, _, _ = strings.Cut(address, "?")
		if err := checkURL(address); err != nil {
			return fmt.Errorf("federation: discovery: the address for %s %w", name, err)
		}
	}
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	// Named rather than tried: a code that is sent twice is taken for stolen. Basic is
	// the default (OpenID Connect discovery section 3).
	basic := len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic")
	if basic && c.provider.ClientSecret.IsSet() && c.provider.Kind != Apple {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	c.oauth.Endpoint, c.issuer, c.sendsIss = endpoint, m.Issuer, m.SendsIss
	c.keys = oidc.NewRemoteKeySet(ctx, m.Keys)
	c.rules = oidc.Config{
		ClientID: c.provider.ClientID, Now: c.clock.Now, SkipIssuerCheck: c.provider.Kind == Microsoft,
		// By a key of its own alone: what both know would be as good as none. RS256 when it
		// names none.
		SupportedSigningAlgs: slices.DeleteFunc(m.Algorithms, func(alg string) bool { return !slices.Contains(asymmetric(), alg) }),
	}
	return nil
}

func (p Provider) scopes() []string {
	switch p.Kind {
	case GitHub:
		return append([]string{"read:user", "user:email"}, p.Scopes...)
	case Apple:
		return append([]string{oidc.ScopeOpenID, "name", "email"}, p.Scopes...)
	default:
		return append([]string{oidc.ScopeOpenID, "email", "profile"}, p.Scopes...)
	}
}

// authorizationURL is where a user goes.
func (c *connection) authorizationURL(redirectURI, state, secret string) string {
	config := c.oauth
	config.RedirectURL = redirectURI
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(derive(secret, forVerifier))}
	if c.openID != nil {
		options = append(options, oidc.Nonce(derive(secret, forNonce)))
	}
	if c.provider.Kind == Apple {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post")) // or it tells no address
	}
	return config.AuthCodeURL(state, options...)
}
