package authtest

import (
	"net/netip"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

// Enterprise is an organization with an issuer of its own.
type Enterprise struct {
	*Federated
	// owner are the tokens of its owner, acting in it.
	Owner *authv1.TokenResponse
	Id    string
	Made  *authv1.IdentityProvider
}

// AllowLoopback lets organizations' issuers be on this machine.
func AllowLoopback(c *auth.Config) {
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func SetupEnterprise(t *testing.T, change ...func(*auth.Config)) *Enterprise {
	t.Helper()
	return EnterpriseOf(t, SetupFederated(t, append(change, AllowLoopback)...), "boss@acme.example")
}

// EnterpriseOf makes an organization with an issuer of its own.
func EnterpriseOf(t *testing.T, f *Federated, owner string) *Enterprise {
	t.Helper()
	Must(t, f.Service.CreateUser(t.Context(), auth.NewUser{Email: owner, Password: Password}))
	tokens := f.SignIn(t, owner)
	made, err := f.Organizations.CreateOrganization(With(t.Context(), tokens), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: owner},
	})
	Must(t, err)
	e := &Enterprise{Federated: &Federated{Bundle: f.Bundle, Issuer: NewIssuer(t, f.Clock), Clock: f.Clock}, Id: made.GetId()}
	e.Owner, err = f.Sessions.SwitchOrganization(With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: e.Id})
	Must(t, err)
	e.Made, err = e.Create(t, e.Owner, e.Description())
	Must(t, err)
	e.Provider = e.Made.GetId()
	return e
}

func (e *Enterprise) Description() *authv1.IdentityProvider {
	return &authv1.IdentityProvider{
		DisplayName: "Acme", Issuer: e.Issuer.URL, ClientId: issuerstub.ClientID, ClientSecret: issuerstub.ClientSecret, Domains: []string{"Acme.example"},
	}
}

func (e *Enterprise) Create(t *testing.T, tokens *authv1.TokenResponse, p *authv1.IdentityProvider) (*authv1.IdentityProvider, error) {
	t.Helper()
	return e.Directory.CreateIdentityProvider(With(t.Context(), tokens), &authv1.CreateIdentityProviderRequest{OrganizationId: e.Id, IdentityProvider: p})
}

func (e *Enterprise) Update(t *testing.T, tokens *authv1.TokenResponse, edit func(*authv1.IdentityProvider), mask ...string) (*authv1.IdentityProvider, error) {
	t.Helper()
	patch := e.Description()
	patch.Id = e.Provider
	edit(patch)
	return e.Directory.UpdateIdentityProvider(With(t.Context(), tokens), &authv1.UpdateIdentityProviderRequest{
		OrganizationId: e.Id, IdentityProvider: patch, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}
