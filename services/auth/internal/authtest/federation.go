package authtest

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

// AppRedirect is a redirect URI of an app.
const AppRedirect = "org.example.app:/signed-in"

// Federated is the service with an identity provider. The time of the service stands still.
type Federated struct {
	*Bundle
	Issuer *issuerstub.Issuer
	Clock  *clock.Fake
	// provider is the id of the one that is signed in by.
	Provider string
}

// SetupFederated starts the service with an identity provider.
func SetupFederated(t *testing.T, change ...func(*auth.Config)) *Federated {
	t.Helper()
	clk := clock.NewFake(clock.System().Now())
	issuer := NewIssuer(t, clk)
	cfg := auth.Config{Providers: []federation.Provider{OpenIDProvider("acme", issuer)}, Redirects: []string{AppRedirect}}
	for _, c := range change {
		c(&cfg)
	}
	return &Federated{Bundle: SetupWith(t, clk, cfg), Issuer: issuer, Clock: clk, Provider: "acme"}
}

// NewIssuer starts an OpenID Connect issuer.
func NewIssuer(t *testing.T, clk clock.Clock) *issuerstub.Issuer {
	t.Helper()
	issuer, err := issuerstub.New(clk.Now)
	Must(t, err)
	server := httptest.NewServer(issuer)
	t.Cleanup(server.Close)
	issuer.URL = server.URL
	return issuer
}

// OpenIDProvider returns the configuration of an issuer.
func OpenIDProvider(name string, issuer *issuerstub.Issuer) federation.Provider {
	return federation.Provider{
		ID: name, DisplayName: strings.ToUpper(name), Kind: federation.OpenID, Issuer: issuer.URL,
		ClientID: issuerstub.ClientID, ClientSecret: config.NewSecret(issuerstub.ClientSecret),
	}
}

// Begin begins a sign-in with the provider.
func (f *Federated) Begin(t *testing.T) *authv1.ProviderAttempt {
	t.Helper()
	begun, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: f.Provider})
	Must(t, err)
	return begun
}

// Callback authorizes an attempt at the provider, and returns the request that finishes it.
func (f *Federated) Callback(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) *authv1.FinishProviderSignInRequest {
	t.Helper()
	code, err := f.Issuer.Authorize(begun.GetAuthorizationUrl(), who)
	Must(t, err)
	return &authv1.FinishProviderSignInRequest{Provider: f.Provider, State: begun.GetState(), Secret: begun.GetSecret(), Code: code}
}

// SignInAs signs somebody in with the provider.
func (f *Federated) SignInAs(t *testing.T, who map[string]any) (*authv1.TokenResponse, error) {
	t.Helper()
	return f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, f.Begin(t), who))
}

// WantRefused fails the test unless the sign-in is refused.
func (f *Federated) WantRefused(t *testing.T, who map[string]any, want faultv1.Reason) {
	t.Helper()
	_, err := f.SignInAs(t, who)
	WantReason(t, err, want)
}

// BeginLink begins to link an identity to the account of the tokens.
func (f *Federated) BeginLink(t *testing.T, tokens *authv1.TokenResponse) (*authv1.ProviderAttempt, error) {
	t.Helper()
	return f.Identities.BeginIdentity(With(t.Context(), tokens), &authv1.BeginIdentityRequest{Provider: f.Provider})
}

// FinishLink finishes linking an identity. It uses no other credential.
func (f *Federated) FinishLink(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) (*authv1.Identity, error) {
	t.Helper()
	back := f.Callback(t, begun, who)
	return f.Identities.FinishIdentity(t.Context(), &authv1.FinishIdentityRequest{
		Provider: back.GetProvider(), State: back.GetState(), Secret: back.GetSecret(), Code: back.GetCode(),
	})
}

// LinkTo links an identity to the account of the tokens.
func (f *Federated) LinkTo(t *testing.T, tokens *authv1.TokenResponse, who map[string]any) *authv1.Identity {
	t.Helper()
	begun, err := f.BeginLink(t, tokens)
	Must(t, err)
	linked, err := f.FinishLink(t, begun, who)
	Must(t, err)
	return linked
}

// SignInWith signs in with a password.
func (b *Bundle) SignInWith(t *testing.T, email, password string) *authv1.TokenResponse {
	t.Helper()
	tokens, err := b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: email, Password: password})
	Must(t, err)
	return tokens
}

// RemoveIdentity removes an identity from the account of the tokens.
func (f *Federated) RemoveIdentity(t *testing.T, tokens *authv1.TokenResponse, id string) error {
	t.Helper()
	_, err := f.Identities.DeleteIdentity(With(t.Context(), tokens), &authv1.DeleteIdentityRequest{Id: id})
	return err
}

// Enterprise is an organization with an identity provider of its own.
type Enterprise struct {
	*Federated
	// owner are the tokens of its owner, acting in it.
	Owner          *authv1.TokenResponse
	OrganizationID string
	Created        *authv1.IdentityProvider
}

// AllowLoopback allows the issuers of organizations to be on this machine.
func AllowLoopback(c *auth.Config) {
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// SetupEnterprise starts the service with an organization that has an identity provider.
func SetupEnterprise(t *testing.T, change ...func(*auth.Config)) *Enterprise {
	t.Helper()
	return EnterpriseOf(t, SetupFederated(t, append(change, AllowLoopback)...), "boss@acme.example")
}

// EnterpriseOf creates an organization with an identity provider.
func EnterpriseOf(t *testing.T, f *Federated, owner string) *Enterprise {
	t.Helper()
	Must(t, f.Service.CreateUser(t.Context(), auth.NewUser{Email: owner, Password: Password}))
	tokens := f.SignIn(t, owner)
	made, err := f.Organizations.CreateOrganization(With(t.Context(), tokens), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: owner},
	})
	Must(t, err)
	e := &Enterprise{Federated: &Federated{Bundle: f.Bundle, Issuer: NewIssuer(t, f.Clock), Clock: f.Clock}, OrganizationID: made.GetId()}
	e.Owner, err = f.Sessions.SwitchOrganization(With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: e.OrganizationID})
	Must(t, err)
	e.Created, err = e.Create(t, e.Owner, e.NewProvider())
	Must(t, err)
	e.Provider = e.Created.GetId()
	return e
}

// NewProvider returns the provider's settings as a request has them.
func (e *Enterprise) NewProvider() *authv1.IdentityProvider {
	return &authv1.IdentityProvider{
		DisplayName: "Acme", Issuer: e.Issuer.URL, ClientId: issuerstub.ClientID, ClientSecret: issuerstub.ClientSecret, Domains: []string{"Acme.example"},
	}
}

// Create creates an identity provider.
func (e *Enterprise) Create(t *testing.T, tokens *authv1.TokenResponse, p *authv1.IdentityProvider) (*authv1.IdentityProvider, error) {
	t.Helper()
	return e.IdentityProviders.CreateIdentityProvider(With(t.Context(), tokens), &authv1.CreateIdentityProviderRequest{OrganizationId: e.OrganizationID, IdentityProvider: p})
}

// Update updates the organization's identity provider.
func (e *Enterprise) Update(t *testing.T, tokens *authv1.TokenResponse, edit func(*authv1.IdentityProvider), mask ...string) (*authv1.IdentityProvider, error) {
	t.Helper()
	patch := e.NewProvider()
	patch.Id = e.Provider
	edit(patch)
	return e.IdentityProviders.UpdateIdentityProvider(With(t.Context(), tokens), &authv1.UpdateIdentityProviderRequest{
		OrganizationId: e.OrganizationID, IdentityProvider: patch, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}
