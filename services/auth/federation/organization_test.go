package federation_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S41, S18: the operator of an organization's issuer can sign in as any of its members.
// That opens this organization, but neither another one nor the account.
func TestS41OrganizationProviderOpensOnlyItsOrganization(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	tokens, p := e.SignUp(t, "ada@elsewhere.example")
	e.LinkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	signedIn, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	home := func(tokens *authv1.TokenResponse) error {
		_, err := e.Sessions.SwitchOrganization(authtest.With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
		return err
	}
	for what, try := range map[string]func() error{
		"her own organization": func() error { return home(signedIn) },
		"after a refresh":      func() error { return home(e.Refreshed(t, signedIn)) },
		"a key": func() error {
			_, err := e.APIKeys.CreateApiKey(authtest.With(t.Context(), signedIn), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
			return err
		},
		"an authenticator": func() error {
			_, err := e.Factors.CreateTotp(authtest.With(t.Context(), signedIn), &authv1.CreateTotpRequest{})
			return err
		},
		"another identity": func() error {
			_, err := e.BeginLink(t, signedIn)
			return err
		},
	} {
		if err := try(); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if signedIn, err = e.SignInAs(t, claimsOf("1", "ada@acme.example")); err != nil {
		t.Fatal(err)
	}
	// A client for members of her own organization does not help either.
	oauth := authv1.NewOAuthServiceClient(e.Conn)
	client, err := authv1.NewOAuthClientServiceClient(e.Conn).CreateOAuthClient(authtest.With(t.Context(), tokens), &authv1.CreateOAuthClientRequest{
		OauthClient: &authv1.OAuthClient{DisplayName: "Reader", MembersOnly: true, RedirectUris: []string{authtest.AppURI}, Scopes: []string{"openid"}},
	})
	authtest.Must(t, err)
	login, err := oauth.OpenLogin(authtest.With(t.Context(), signedIn), &authv1.OpenLoginRequest{})
	authtest.Must(t, err)
	response, err := oauth.Authorize(e.AsService(t, "auth"), &authv1.AuthorizeRequest{
		Login: login.GetLogin(), ClientId: client.GetOauthClient().GetId(), RedirectUri: authtest.AppURI, ResponseType: "code",
		CodeChallenge: strings.Repeat("x", 43), CodeChallengeMethod: "S256",
	})
	authtest.Must(t, err)
	if response.GetSignIn() == nil {
		t.Errorf("the client got %v", response)
	}
	stepped, err := e.Sessions.StepUp(authtest.With(t.Context(), signedIn), &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: authtest.Password}})
	authtest.Must(t, err)
	authtest.Must(t, home(stepped))
	// The session of a user without other credentials is not bound.
	_, err = e.SignInAs(t, claimsOf("2", "bob@acme.example"))
	authtest.Must(t, err)
	bobs, err := e.SignInAs(t, claimsOf("2", "bob@acme.example"))
	authtest.Must(t, err)
	if got := e.Principal(t, bobs).Methods; !slices.Equal(got, []string{"fed"}) {
		t.Errorf("signed in with %v", got)
	}
}

// S41: such a session reaches neither the user's own data nor other organizations.
func TestS41OrganizationProviderActsOnlyInItsOrganization(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	tokens, p := e.SignUp(t, "ada@elsewhere.example")
	e.LinkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	deleted, err := e.Organizations.CreateOrganization(authtest.With(t.Context(), tokens), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Deleted"},
	})
	authtest.Must(t, err)
	_, err = e.Organizations.DeleteOrganization(authtest.With(t.Context(), tokens), &authv1.DeleteOrganizationRequest{Id: deleted.GetId()})
	authtest.Must(t, err)
	created, err := e.APIKeys.CreateApiKey(authtest.With(t.Context(), tokens), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
	authtest.Must(t, err)
	signedIn, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	ctx, grants := authtest.With(t.Context(), signedIn), authv1.NewGrantServiceClient(e.Conn)
	for what, try := range map[string]func() error{
		"restoring an organization": func() error {
			_, err := e.Organizations.UndeleteOrganization(ctx, &authv1.UndeleteOrganizationRequest{Id: deleted.GetId()})
			return err
		},
		"creating an organization": func() error {
			_, err := e.Organizations.CreateOrganization(ctx, &authv1.CreateOrganizationRequest{Organization: &authv1.Organization{DisplayName: "New"}})
			return err
		},
		"accepting an invitation": func() error {
			_, err := e.Invitations.AcceptInvitation(ctx, &authv1.AcceptInvitationRequest{Token: "unknown"})
			return err
		},
		"reading sessions": func() error {
			_, err := e.UserSessions.ListUserSessions(ctx, &authv1.ListUserSessionsRequest{})
			return err
		},
		"ending a session": func() error {
			_, err := e.UserSessions.DeleteUserSession(ctx, &authv1.DeleteUserSessionRequest{Id: p.SessionID})
			return err
		},
		"ending sessions": func() error {
			_, err := e.UserSessions.EndUserSessions(ctx, &authv1.EndUserSessionsRequest{KeepCurrent: true})
			return err
		},
		"reading keys": func() error {
			_, err := e.APIKeys.ListApiKeys(ctx, &authv1.ListApiKeysRequest{})
			return err
		},
		"ending a key": func() error {
			_, err := e.APIKeys.DeleteApiKey(ctx, &authv1.DeleteApiKeyRequest{Id: created.GetApiKey().GetId()})
			return err
		},
		"listing grants": func() error {
			_, err := grants.ListGrants(ctx, &authv1.ListGrantsRequest{})
			return err
		},
		"revoking a grant": func() error {
			_, err := grants.DeleteGrant(ctx, &authv1.DeleteGrantRequest{Id: id.New()})
			return err
		},
		"another name": func() error {
			_, err := e.Accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{
				Me: &authv1.Me{DisplayName: "Eve"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
			})
			return err
		},
	} {
		if err := try(); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	me, err := e.Accounts.GetMe(ctx, &authv1.GetMeRequest{})
	authtest.Must(t, err)
	if me.GetDisplayName() != "ada" || me.GetOrganizationId() != e.OrganizationID {
		t.Errorf("she is %v", me)
	}
	_, err = e.Organizations.RemoveMember(ctx, &authv1.RemoveMemberRequest{OrganizationId: e.OrganizationID, UserId: p.UserID})
	authtest.Must(t, err) // the session acts in the organization
}

// S46: an organization's issuer gives no rights over the installation, not even to an
// operator.
func TestS46OrganizationProviderGivesNoOperatorRights(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	tokens, p := e.SignUp(t, "ada@elsewhere.example")
	e.LinkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, e.Service.GrantOperator(t.Context(), "ada@elsewhere.example", true))
	signedIn, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	for what, issued := range map[string]*authv1.TokenResponse{"at sign-in": signedIn, "after a refresh": e.Refreshed(t, signedIn)} {
		if got := e.Principal(t, issued); got.UserID != p.UserID || got.HasRole("operator") {
			t.Errorf("%s: signed in as %s with %v", what, got.UserID, got.Roles)
		}
	}
	signedIn, err = e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	stepped, err := e.Sessions.StepUp(authtest.With(t.Context(), signedIn), &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: authtest.Password}})
	authtest.Must(t, err)
	if got := e.Principal(t, stepped); !got.HasRole("operator") {
		t.Errorf("with the password she is %v", got.Roles)
	}
}
