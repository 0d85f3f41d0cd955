package authtest

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/config"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

const AppRedirect = "org.example.app:/signed-in"

// Federated is the service with a provider, in a time that stands still.
type Federated struct {
	*Bundle
	Issuer *issuerstub.Issuer
	Clock  *clock.Fake
	// provider is the id of the one that is signed in by.
	Provider string
}

func SetupFederated(t *testing.T, change ...func(*auth.Config)) *Federated {
	t.Helper()
	clk := clock.NewFake(time.Now())
	issuer := NewIssuer(t, clk)
	cfg := auth.Config{Providers: []federation.Provider{OpenIDProvider("acme", issuer)}, Redirects: []string{AppRedirect}}
	for _, c := range change {
		c(&cfg)
	}
	return &Federated{Bundle: SetupWith(t, clk, cfg), Issuer: issuer, Clock: clk, Provider: "acme"}
}

func NewIssuer(t *testing.T, clk clock.Clock) *issuerstub.Issuer {
	t.Helper()
	issuer, err := issuerstub.New(clk.Now)
	Must(t, err)
	server := httptest.NewServer(issuer)
	t.Cleanup(server.Close)
	issuer.URL = server.URL
	return issuer
}

func OpenIDProvider(name string, issuer *issuerstub.Issuer) federation.Provider {
	return federation.Provider{
		ID: name, DisplayName: strings.ToUpper(name), Kind: federation.OpenID, Issuer: issuer.URL,
		ClientID: issuerstub.ClientID, ClientSecret: config.NewSecret(issuerstub.ClientSecret),
	}
}

func (f *Federated) Begin(t *testing.T) *authv1.ProviderAttempt {
	t.Helper()
	begun, err := f.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: f.Provider})
	Must(t, err)
	return begun
}

// Callback is what comes back from the provider after somebody agreed there.
func (f *Federated) Callback(t *testing.T, begun *authv1.ProviderAttempt, who map[string]any) *authv1.FinishProviderSignInRequest {
	t.Helper()
	code, err := f.Issuer.Authorize(begun.GetAuthorizationUrl(), who)
	Must(t, err)
	return &authv1.FinishProviderSignInRequest{Provider: f.Provider, State: begun.GetState(), Secret: begun.GetSecret(), Code: code}
}

// SignInAs signs somebody in by the provider.
func (f *Federated) SignInAs(t *testing.T, who map[string]any) (*authv1.TokenResponse, error) {
	t.Helper()
	return f.Providers.FinishProviderSignIn(t.Context(), f.Callback(t, f.Begin(t), who))
}

func (f *Federated) WantRefused(t *testing.T, who map[string]any, want faultv1.Reason) {
	t.Helper()
	_, err := f.SignInAs(t, who)
	WantReason(t, err, want)
}
