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
	// discoveryTTL is how long the metadata of a provider is cached. Its keys are read
	// when their ids appear.
	discoveryTTL = time.Hour
	// discoveryTimeout bounds the discovery, for all callers that wait for it.
	discoveryTimeout = 10 * time.Second
	// maxConnections is the number of providers that are cached.
	maxConnections = 500
)

// connection is a provider with its metadata.
type connection struct {
	provider Provider
	client   *http.Client
	clock    clock.Clock
	oauth    oauth2.Config
	// openID is nil for GitHub.
	openID       *oidc.Provider
	keys         oidc.KeySet
	verification oidc.Config
	// issuer is the issuer in the metadata. That of Microsoft has a placeholder for the
	// tenant.
	issuer string
	// sendsIss reports whether the provider's responses have an iss parameter.
	sendsIss bool
	foundAt  time.Time
	// err is the reason why the discovery failed.
	err error
}

// isFresh reports whether the result of the discovery, or its failure, is still valid.
func (c *connection) isFresh(now time.Time) bool {
	if c.err != nil {
		return now.Sub(c.foundAt) < retryAfter
	}
	return now.Sub(c.foundAt) < discoveryTTL
}

// connections caches providers.
type connections struct {
	cache  *lru.Cache[string, *connection]
	flight singleflight.Group
	clock  clock.Clock
	// direct reaches the operator's providers, and guarded those of organizations.
	direct, guarded *http.Client
}

func newConnections(clk clock.Clock, allowed []netip.Prefix) (*connections, error) {
	known, err := lru.New[string, *connection](maxConnections)
	if err != nil {
		return nil, fmt.Errorf("federation: %w", err)
	}
	return &connections{cache: known, clock: clk, direct: egress.Open(), guarded: egress.Guarded(allowed)}, nil
}

// connect returns the connection to a provider. Concurrent callers share one discovery.
// A discovery that failed is not repeated for some seconds, because anyone can cause
// it.
func (s *Service) connect(ctx context.Context, p Provider) (*connection, error) {
	cs := s.connections
	key := p.fingerprint()
	if c, ok := cs.cache.Get(key); ok && c.isFresh(cs.clock.Now()) {
		return c, c.err
	}
	done := cs.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryTimeout)
		defer cancel()
		client := cs.direct
		if p.owner != nil {
			client = cs.guarded
		}
		c, err := discover(ctx, p, client, cs.clock)
		if err != nil {
			c.err = unreachable(err)
		}
		cs.cache.Add(key, c)
		return c, c.err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-done:
		c, _ := result.Val.(*connection)
		return c, result.Err
	}
}

// fingerprint returns a hash of a provider's settings. Changed settings make another
// connection.
func (p Provider) fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{p.ID, string(p.Kind), p.Issuer, p.ClientID, p.ClientSecret.Reveal()}))
	return hex.EncodeToString(sum[:])
}

// unreachable returns the fault of an address that may not be reached, or else of a
// provider that does not respond.
func unreachable(err error) error {
	if egress.Denied(err) {
		return fault.Wrap(err, faultv1.Reason_REASON_EGRESS_DENIED, "the identity provider's address may not be reached")
	}
	return unavailable(err)
}

// discover reads the metadata of a provider.
func discover(ctx context.Context, p Provider, client *http.Client, clk clock.Clock) (*connection, error) {
	c := &connection{provider: p, client: client, clock: clk, foundAt: clk.Now()}
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
		ctx = oidc.InsecureIssuerURLContext(ctx, "") // compared below, and with the tenant of each token
	}
	var err error
	if c.openID, err = oidc.NewProvider(ctx, p.Issuer); err != nil {
		return c, fmt.Errorf("federation: discovery: %w", err)
	}
	return c, c.configure(ctx)
}

// metadata is the metadata of a provider (OpenID Connect Discovery section 3).
type metadata struct {
	Issuer      string   `json:"issuer"`
	Keys        string   `json:"jwks_uri"`
	UserInfo    string   `json:"userinfo_endpoint"`
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIss    bool     `json:"authorization_response_iss_parameter_supported"`
}

// asymmetric returns the algorithms whose keys only the provider has.
func asymmetric() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
}

// configure checks the metadata and uses it.
func (c *connection) configure(ctx context.Context) error {
	var m metadata
	if err := c.openID.Claims(&m); err != nil {
		return fmt.Errorf("federation: discovery: %w", err)
	}
	if c.provider.Kind == Microsoft && !strings.HasPrefix(m.Issuer, origin(c.provider.Issuer)+"/") {
		return fmt.Errorf("federation: discovery: the issuer %q has another origin", m.Issuer)
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
	// The style is set rather than tried: a code that is sent twice counts as stolen. Basic is
	// the default (OpenID Connect discovery section 3).
	basic := len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic")
	if basic && c.provider.ClientSecret.IsSet() && c.provider.Kind != Apple {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	c.oauth.Endpoint, c.issuer, c.sendsIss = endpoint, m.Issuer, m.SendsIss
	c.keys = oidc.NewRemoteKeySet(ctx, m.Keys)
	c.verification = oidc.Config{
		ClientID: c.provider.ClientID, Now: c.clock.Now, SkipIssuerCheck: c.provider.Kind == Microsoft,
		// Only a key that the provider alone has proves anything. RS256 is used when the
		// provider names none.
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

// authorizationURL returns the address to which a user goes.
func (c *connection) authorizationURL(redirectURI, state, secret string) string {
	config := c.oauth
	config.RedirectURL = redirectURI
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(derive(secret, purposeVerifier))}
	if c.openID != nil {
		options = append(options, oidc.Nonce(derive(secret, purposeNonce)))
	}
	if c.provider.Kind == Apple {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post")) // required to get the address
	}
	return config.AuthCodeURL(state, options...)
}
