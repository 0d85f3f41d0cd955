package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/fault"
)

// urls are addresses, with whether users and secrets may be sent to them.
func urls() map[string]bool {
	return map[string]bool{
		"https://issuer.example": true, "https://issuer.example:8443/tenant": true, "http://localhost:1": true, "http://127.0.0.1": true, "http://[::1]:1/": true,
		"": false, "issuer.example": false, "//issuer.example": false, "https://": false, "http://issuer.example": false, "ftp://issuer.example": false,
		"https://user@issuer.example": false, "https://issuer.example?x=1": false, "https://issuer.example#x": false, "javascript:alert(1)": false,
		"http://localhost.evil.test": false, "http://127.0.0.1.evil.test": false, "http://127.0.0.2": false, "http://localhost@evil.test": false,
		"https://issuer.example/%zz": false, "https://[::1": false,
	}
}

func TestCheckURL_AllowsHTTPSAndThisMachine(t *testing.T) {
	t.Parallel()
	for address, accepted := range urls() {
		if err := checkURL(address); (err == nil) != accepted {
			t.Errorf("%q: %v, want accepted %t", address, err, accepted)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for address := range urls() {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if checkURL(address) != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q was accepted: %v", address, err)
		}
		if host := u.Hostname(); u.Scheme != "https" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
			t.Fatalf("%q was accepted without TLS", address)
		}
	})
}

// applePEM returns a private key as Apple gives it.
func applePEM(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func TestCheck_EachSettingOfAProvider_IsNamed(t *testing.T) {
	t.Parallel()
	openID := Provider{ID: "one", Kind: OpenID, Issuer: "https://issuer.example", ClientID: "client"}
	gitHub := Provider{ID: "github", Kind: GitHub, Issuer: "https://github.example", API: "https://api.github.example", ClientID: "c", ClientSecret: config.NewSecret("s")}
	apple := Provider{
		ID: "apple", Kind: Apple, Issuer: "https://apple.example", ClientID: "c", TeamID: "t", KeyID: "k",
		ClientSecret: config.NewSecret(applePEM(t, elliptic.P256())),
	}
	with := func(p Provider, change func(*Provider)) Provider { change(&p); return p }
	for _, tc := range []struct {
		name     string
		provider Provider
		problem  string // empty: accepted
	}{
		{"an issuer", openID, ""},
		{"GitHub", gitHub, ""},
		{"Apple", apple, ""},
		{"an id of 32 characters", with(openID, func(p *Provider) { p.ID = strings.Repeat("a", 32) }), ""},
		{"an id of 33 characters", with(openID, func(p *Provider) { p.ID = strings.Repeat("a", 33) }), "the id"},
		{"an id that begins with a digit", with(openID, func(p *Provider) { p.ID = "1a" }), "the id"},
		{"an id with a line break", with(openID, func(p *Provider) { p.ID = "a\n" }), "the id"},
		{"no client", with(openID, func(p *Provider) { p.ClientID = "" }), "the client id"},
		{"an issuer without TLS", with(openID, func(p *Provider) { p.Issuer = "http://issuer.example" }), "the issuer"},
		{"an unknown kind", with(openID, func(p *Provider) { p.Kind = "saml" }), "the kind"},
		{"GitHub without a secret", with(gitHub, func(p *Provider) { p.ClientSecret = config.NewSecret("") }), "the client secret"},
		{"GitHub without its API", with(gitHub, func(p *Provider) { p.API = "" }), "the API"},
		{"Apple without a team", with(apple, func(p *Provider) { p.TeamID = "" }), "the team"},
		{"Apple without the id of its key", with(apple, func(p *Provider) { p.KeyID = "" }), "the team"},
		{"Apple with a secret", with(apple, func(p *Provider) { p.ClientSecret = config.NewSecret("s") }), "the private key must be PEM"},
		{"Apple with another curve", with(apple, func(p *Provider) { p.ClientSecret = config.NewSecret(applePEM(t, elliptic.P384())) }), "the curve P-256"},
	} {
		err := Check([]Provider{tc.provider}, nil)
		if tc.problem == "" && err != nil || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.problem)
		}
	}
	if err := Check([]Provider{openID, openID}, nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("two providers with one id: %v", err)
	}
}

func TestCheck_Redirects_AreHTTPSOrAnApp(t *testing.T) {
	t.Parallel()
	for redirect, accepted := range map[string]bool{
		"https://app.example/cb": true, "http://localhost:3000/cb": true, "com.example.app:/cb": true, "com.example.app://cb": true,
		"http://app.example/cb": false, "myapp:/cb": false, "javascript:alert(1)": false, "com.example.app:/cb#x": false, "https://app.example/#x": false,
		"": false, "/cb": false,
	} {
		if err := Check(nil, []string{redirect}); (err == nil) != accepted {
			t.Errorf("%q: %v, want accepted %t", redirect, err, accepted)
		}
	}
}

const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

func TestMatchesIssuer_OnlyMicrosoftHasTenants(t *testing.T) {
	t.Parallel()
	microsoft := connection{provider: Provider{Kind: Microsoft}, issuer: "https://login.example/" + tenantPlaceholder + "/v2.0"}
	other := connection{provider: Provider{Kind: OpenID}, issuer: microsoft.issuer}
	for issuer, want := range map[string][2]bool{
		"https://login.example/" + tenant + "/v2.0":            {true, false},
		"https://login.example/" + tenantPlaceholder + "/v2.0": {false, true},
		"https://login.example/" + tenant + "/v1.0":            {false, false},
		"https://login.example/" + tenant:                      {false, false},
		"https://evil.test/" + tenant + "/v2.0":                {false, false},
		"https://login.example/evil/" + tenant + "/v2.0":       {false, false},
		"https://login.example//v2.0":                          {false, false},
		"":                                                     {false, false},
	} {
		if m, o := microsoft.matchesIssuer(issuer), other.matchesIssuer(issuer); m != want[0] || o != want[1] {
			t.Errorf("%q: Microsoft %t, another provider %t, want %v", issuer, m, o, want)
		}
	}
}

func TestCheck_Claims_BelongToTheAttemptAndTheClient(t *testing.T) {
	t.Parallel()
	issuer := "https://login.example/" + tenant + "/v2.0"
	for _, tc := range []struct {
		name  string
		kind  Kind
		token oidc.IDToken
		got   claims
		want  bool
	}{
		{"a token", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client"}}, claims{}, true},
		{"no nonce", OpenID, oidc.IDToken{Audience: []string{"client"}}, claims{}, false},
		{"another nonce", OpenID, oidc.IDToken{Nonce: "m", Audience: []string{"client"}}, claims{}, false},
		{"the party is the client", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client"}}, claims{Party: "client"}, true},
		{"another party", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client"}}, claims{Party: "other"}, false},
		{"two audiences without a party", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client", "other"}}, claims{}, false},
		{"two audiences with the party", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client", "other"}}, claims{Party: "client"}, true},
		{"a hash of another access token", OpenID, oidc.IDToken{Nonce: "n", Audience: []string{"client"}, AccessTokenHash: "x"}, claims{}, false},
		{"a tenant", Microsoft, oidc.IDToken{Nonce: "n", Issuer: issuer}, claims{Tenant: tenant}, true},
		{"no tenant", Microsoft, oidc.IDToken{Nonce: "n", Issuer: issuer}, claims{}, false},
		{"another tenant", Microsoft, oidc.IDToken{Nonce: "n", Issuer: issuer}, claims{Tenant: "9188040d-6c67-4c5b-b112-36a304b66dae"}, false},
		{"a tenant that is no id", Microsoft, oidc.IDToken{Nonce: "n", Issuer: issuer}, claims{Tenant: "v2.0"}, false},
	} {
		c := connection{provider: Provider{Kind: tc.kind, ClientID: "client"}, issuer: "https://login.example/" + tenantPlaceholder + "/v2.0"}
		if err := c.check(&tc.token, tc.got, "access", "n"); (err == nil) != tc.want {
			t.Errorf("%s: %v, want accepted %t", tc.name, err, tc.want)
		}
	}
}

func TestOrganizationProvider_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	valid := OrganizationProvider{DisplayName: "IdP", Issuer: "https://issuer.example", ClientID: "c", Domains: []string{"example.org"}, Role: "member"}
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		path, field string
		patch       OrganizationProvider
		secret      bool
	}{
		{"display_name", "identityProvider.displayName", OrganizationProvider{}, false},
		{"domains", "identityProvider.domains", OrganizationProvider{}, false},
		{"client_id", "identityProvider.clientId", OrganizationProvider{}, true},
		{"issuer", "identityProvider.issuer", OrganizationProvider{Issuer: "http://issuer.example"}, true},
		{"issuer", "identityProvider.clientSecret", OrganizationProvider{Issuer: "https://other.example"}, false},
		{"client_id", "identityProvider.clientSecret", OrganizationProvider{ClientID: "d"}, false},
		{"id", "updateMask", OrganizationProvider{}, false},
		{"issuer", "", OrganizationProvider{Issuer: "https://other.example"}, true},
		{"issuer", "", OrganizationProvider{Issuer: valid.Issuer}, false},
		{"role", "", OrganizationProvider{Role: "custom"}, false},
	} {
		mask := []string{tc.path}
		if tc.secret {
			mask = append(mask, fieldSecret)
		}
		_, secret, err := valid.Apply(tc.patch, mask)
		if secret != tc.secret {
			t.Errorf("%s: the mask names the secret: %t", tc.path, secret)
		}
		if tc.field == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.path, err)
			}
			continue
		}
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
			t.Errorf("%s: violations %v, want one on %s", tc.path, v, tc.field)
		}
	}
}
