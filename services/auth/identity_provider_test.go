package auth_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
)

// enterprise is an organization with an issuer of its own.
type enterprise struct {
	*federated
	// owner are the tokens of its owner, acting in it.
	owner *authv1.TokenResponse
	id    string
	made  *authv1.IdentityProvider
}

// allowLoopback lets organizations' issuers be on this machine.
func allowLoopback(c *auth.Config) {
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func setupEnterprise(t *testing.T, change ...func(*auth.Config)) *enterprise {
	t.Helper()
	return enterpriseOf(t, setupFederated(t, append(change, allowLoopback)...), "boss@acme.example")
}

// enterpriseOf makes an organization with an issuer of its own.
func enterpriseOf(t *testing.T, f *federated, owner string) *enterprise {
	t.Helper()
	must(t, f.service.CreateUser(t.Context(), auth.NewUser{Email: owner, Password: password}))
	tokens := f.signIn(t, owner)
	made, err := f.organizations.CreateOrganization(with(t.Context(), tokens), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: owner},
	})
	must(t, err)
	e := &enterprise{federated: &federated{bundle: f.bundle, issuer: newIssuer(t, f.clock), clock: f.clock}, id: made.GetId()}
	e.owner, err = f.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: e.id})
	must(t, err)
	e.made, err = e.create(t, e.owner, e.description())
	must(t, err)
	e.provider = e.made.GetId()
	return e
}

func (e *enterprise) description() *authv1.IdentityProvider {
	return &authv1.IdentityProvider{
		DisplayName: "Acme", Issuer: e.issuer.URL, ClientId: issuerstub.ClientID, ClientSecret: issuerstub.ClientSecret, Domains: []string{"Acme.example"},
	}
}

func (e *enterprise) create(t *testing.T, tokens *authv1.TokenResponse, p *authv1.IdentityProvider) (*authv1.IdentityProvider, error) {
	t.Helper()
	return e.directory.CreateIdentityProvider(with(t.Context(), tokens), &authv1.CreateIdentityProviderRequest{OrganizationId: e.id, IdentityProvider: p})
}

func (e *enterprise) update(t *testing.T, tokens *authv1.TokenResponse, edit func(*authv1.IdentityProvider), mask ...string) (*authv1.IdentityProvider, error) {
	t.Helper()
	patch := e.description()
	patch.Id = e.provider
	edit(patch)
	return e.directory.UpdateIdentityProvider(with(t.Context(), tokens), &authv1.UpdateIdentityProviderRequest{
		OrganizationId: e.id, IdentityProvider: patch, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

func TestPeopleComeIntoAnOrganizationByItsIssuer(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	tokens, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	p := e.principal(t, tokens)
	if p.OrganizationID != e.id || !slices.Equal(p.Roles, []string{"member"}) || !slices.Equal(p.Methods, []string{"fed"}) {
		t.Errorf("came as %+v", p)
	}
	// What the organization says of an address confirms nothing.
	if u := tokens.GetUser(); u.GetEmail() != "ada@acme.example" || u.GetEmailVerified() {
		t.Errorf("came as %v", u)
	}
	again, err := e.signInAs(t, claimsOf("1", "other@acme.example"))
	must(t, err)
	if again.GetUser().GetId() != p.UserID {
		t.Errorf("came back as %v", again.GetUser())
	}
	_, err = e.update(t, e.owner, func(p *authv1.IdentityProvider) { p.Role = "viewer" }, "role")
	must(t, err)
	second, err := e.signInAs(t, claimsOf("2", "bob@acme.example"))
	must(t, err)
	if p := e.principal(t, second); !slices.Equal(p.Roles, []string{"viewer"}) {
		t.Errorf("came as %v", p.Roles)
	}
	wantActions(t, e.bundle, e.id, "auth.organization.created", "auth.session.created", "auth.identity_provider.created", "auth.member.added",
		"auth.session.created", "auth.session.created", "auth.identity_provider.updated", "auth.member.added", "auth.session.created")
	// S21: who was removed does not come back by signing in.
	_, err = e.organizations.RemoveMember(with(t.Context(), e.owner), &authv1.RemoveMemberRequest{OrganizationId: e.id, UserId: p.UserID})
	must(t, err)
	e.wantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	// S38: nor is a second factor skipped.
	h := &factorUser{bundle: e.bundle, clock: e.clock}
	h.enroll(t, "bob@acme.example", second)
	half, err := e.signInAs(t, claimsOf("2", "bob@acme.example"))
	must(t, err)
	if half.GetAccessToken() != "" || half.GetMfaChallenge() == nil {
		t.Errorf("an issuer alone is answered %v", half)
	}
}

// S16, S41: an organization's issuer may be run by anybody, and say anything.
func TestS16AHostileIssuerOpensNoForeignAccount(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	other := enterpriseOf(t, e.federated, "boss@other.example")
	_, err := other.update(t, other.owner, func(p *authv1.IdentityProvider) {
		p.Domains = []string{"acme.example", "example.org", "other.example"}
	}, "domains")
	must(t, err)
	theirs, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	e.signUp(t, ada)
	before := adminText(t, e.bundle, "SELECT string_agg(u::text, ' ' ORDER BY id) FROM auth.users u")
	for what, who := range map[string]map[string]any{
		"a member of another organization": claimsOf("1", "ada@acme.example"), // the same subject too
		"its owner":                        claimsOf("2", "boss@acme.example"),
		"an unconfirmed account":           claimsOf("3", "ADA@example.org"),
		"its owner again":                  claimsOf("4", "boss@acme.example"),
	} {
		if _, err := other.signInAs(t, who); !fault.Is(err, faultv1.Reason_REASON_IDENTITY_NOT_LINKED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, address := range []string{"eve@elsewhere.example", "eve@sub.acme.example", "eve@acme.example.evil.example", "", "eve"} {
		other.issuer.UserInfo = map[string]any{"sub": "5"}
		other.wantRefused(t, claimsOf("5", address), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	}
	if after := adminText(t, e.bundle, "SELECT string_agg(u::text, ' ' ORDER BY id) FROM auth.users u"); after != before {
		t.Errorf("an account changed:\n%s\n%s", before, after)
	}
	// As the issuer that it is not, or at the other's provider, it is nobody.
	other.issuer.Spoil = func(_, claims map[string]any) { claims["iss"] = e.issuer.URL }
	other.wantRefused(t, claimsOf("1", "new@other.example"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	other.issuer.Spoil = nil
	begun := e.begin(t)
	code, err := other.issuer.Authorize(begun.GetAuthorizationUrl(), claimsOf("1", "ada@acme.example"))
	must(t, err)
	_, err = e.providers.FinishProviderSignIn(t.Context(), &authv1.FinishProviderSignInRequest{
		Provider: e.provider, State: begun.GetState(), Secret: begun.GetSecret(), Code: code,
	})
	wantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	// With the other's issuer as its own, the same subject is still somebody else.
	_, err = other.update(t, other.owner, func(p *authv1.IdentityProvider) { p.Issuer = e.issuer.URL }, "issuer", "client_secret")
	must(t, err)
	other.issuer = e.issuer
	other.wantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
	stranger, err := other.signInAs(t, claimsOf("1", "new@other.example"))
	must(t, err)
	if p := other.principal(t, stranger); p.UserID == theirs.GetUser().GetId() || p.OrganizationID != other.id {
		t.Errorf("came as %+v", p)
	}
}

func TestAnAccountJoinsByAnIssuerThatItsUserLinks(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	tokens, p := e.signUp(t, "ada@elsewhere.example")
	e.linkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	came, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	if got := e.principal(t, came); got.UserID != p.UserID || got.OrganizationID != e.id || !slices.Equal(got.Roles, []string{"member"}) {
		t.Errorf("came as %+v", got)
	}
	// A member keeps its role.
	e.linkTo(t, e.owner, claimsOf("2", "boss@acme.example"))
	boss, err := e.signInAs(t, claimsOf("2", "boss@acme.example"))
	must(t, err)
	if got := e.principal(t, boss); !slices.Equal(got.Roles, []string{"owner"}) {
		t.Errorf("came as %v", got.Roles)
	}
}

// S41, S18: whoever runs an organization's issuer can say that any of its members is
// there. That opens this organization, and neither another one nor the account.
func TestS41AnOrganizationsIssuerOpensThatOrganizationAlone(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	tokens, p := e.signUp(t, "ada@elsewhere.example")
	e.linkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	came, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	home := func(tokens *authv1.TokenResponse) error {
		_, err := e.sessions.SwitchOrganization(with(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: p.OrganizationID})
		return err
	}
	for what, try := range map[string]func() error{
		"her own organization": func() error { return home(came) },
		"after a refresh":      func() error { return home(e.refreshed(t, came)) },
		"a key": func() error {
			_, err := e.apiKeys.CreateApiKey(with(t.Context(), came), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
			return err
		},
		"an authenticator": func() error {
			_, err := e.factors.CreateTotp(with(t.Context(), came), &authv1.CreateTotpRequest{})
			return err
		},
		"another identity": func() error {
			_, err := e.beginLink(t, came)
			return err
		},
	} {
		if err := try(); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if came, err = e.signInAs(t, claimsOf("1", "ada@acme.example")); err != nil {
		t.Fatal(err)
	}
	// Nor by a client that is for her own organization's members.
	oauth := authv1.NewOAuthServiceClient(e.conn)
	client, err := authv1.NewOAuthClientServiceClient(e.conn).CreateOAuthClient(with(t.Context(), tokens), &authv1.CreateOAuthClientRequest{
		OauthClient: &authv1.OAuthClient{DisplayName: "Reader", MembersOnly: true, RedirectUris: []string{appURI}, Scopes: []string{"openid"}},
	})
	must(t, err)
	login, err := oauth.OpenLogin(with(t.Context(), came), &authv1.OpenLoginRequest{})
	must(t, err)
	asked, err := oauth.Authorize(e.asService(t, "auth"), &authv1.AuthorizeRequest{
		Login: login.GetLogin(), ClientId: client.GetOauthClient().GetId(), RedirectUri: appURI, ResponseType: "code",
		CodeChallenge: strings.Repeat("x", 43), CodeChallengeMethod: "S256",
	})
	must(t, err)
	if asked.GetSignIn() == nil {
		t.Errorf("a client asks %v", asked)
	}
	stepped, err := e.sessions.StepUp(with(t.Context(), came), &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: password}})
	must(t, err)
	must(t, home(stepped))
	// Who has no other way to sign in is whom the issuer says.
	_, err = e.signInAs(t, claimsOf("2", "bob@acme.example"))
	must(t, err)
	born, err := e.signInAs(t, claimsOf("2", "bob@acme.example"))
	must(t, err)
	if got := e.principal(t, born).Methods; !slices.Equal(got, []string{"fed"}) {
		t.Errorf("came with %v", got)
	}
}

// S41: nor does it reach what is the user's own, or in other organizations.
func TestS41AnOrganizationsIssuerActsInThatOrganizationAlone(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	tokens, p := e.signUp(t, "ada@elsewhere.example")
	e.linkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	gone, err := e.organizations.CreateOrganization(with(t.Context(), tokens), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Gone"},
	})
	must(t, err)
	_, err = e.organizations.DeleteOrganization(with(t.Context(), tokens), &authv1.DeleteOrganizationRequest{Id: gone.GetId()})
	must(t, err)
	made, err := e.apiKeys.CreateApiKey(with(t.Context(), tokens), &authv1.CreateApiKeyRequest{ApiKey: &authv1.ApiKey{DisplayName: "x", Scopes: []string{"chat.read"}}})
	must(t, err)
	came, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	ctx, grants := with(t.Context(), came), authv1.NewGrantServiceClient(e.conn)
	for what, try := range map[string]func() error{
		"restoring an organization": func() error {
			_, err := e.organizations.UndeleteOrganization(ctx, &authv1.UndeleteOrganizationRequest{Id: gone.GetId()})
			return err
		},
		"making an organization": func() error {
			_, err := e.organizations.CreateOrganization(ctx, &authv1.CreateOrganizationRequest{Organization: &authv1.Organization{DisplayName: "New"}})
			return err
		},
		"accepting an invitation": func() error {
			_, err := e.invitations.AcceptInvitation(ctx, &authv1.AcceptInvitationRequest{Token: "unknown"})
			return err
		},
		"reading sessions": func() error {
			_, err := e.userSessions.ListUserSessions(ctx, &authv1.ListUserSessionsRequest{})
			return err
		},
		"ending a session": func() error {
			_, err := e.userSessions.DeleteUserSession(ctx, &authv1.DeleteUserSessionRequest{Id: p.SessionID})
			return err
		},
		"ending sessions": func() error {
			_, err := e.userSessions.EndUserSessions(ctx, &authv1.EndUserSessionsRequest{KeepCurrent: true})
			return err
		},
		"reading keys": func() error {
			_, err := e.apiKeys.ListApiKeys(ctx, &authv1.ListApiKeysRequest{})
			return err
		},
		"ending a key": func() error {
			_, err := e.apiKeys.DeleteApiKey(ctx, &authv1.DeleteApiKeyRequest{Id: made.GetApiKey().GetId()})
			return err
		},
		"reading consents": func() error {
			_, err := grants.ListGrants(ctx, &authv1.ListGrantsRequest{})
			return err
		},
		"taking a consent back": func() error {
			_, err := grants.DeleteGrant(ctx, &authv1.DeleteGrantRequest{Id: id.New()})
			return err
		},
		"another name": func() error {
			_, err := e.accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{
				Me: &authv1.Me{DisplayName: "Eve"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
			})
			return err
		},
	} {
		if err := try(); !fault.Is(err, faultv1.Reason_REASON_STEP_UP_REQUIRED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	me, err := e.accounts.GetMe(ctx, &authv1.GetMeRequest{})
	must(t, err)
	if me.GetDisplayName() != "ada" || me.GetOrganizationId() != e.id {
		t.Errorf("she is %v", me)
	}
	_, err = e.organizations.RemoveMember(ctx, &authv1.RemoveMemberRequest{OrganizationId: e.id, UserId: p.UserID})
	must(t, err) // it acts in the organization
}

// S46: an organization's issuer opens nothing of the installation, whoever it says comes.
func TestS46AnOrganizationsIssuerMakesNobodyOperator(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	tokens, p := e.signUp(t, "ada@elsewhere.example")
	e.linkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	must(t, e.service.GrantOperator(t.Context(), "ada@elsewhere.example", true))
	came, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	for what, issued := range map[string]*authv1.TokenResponse{"at sign-in": came, "after a refresh": e.refreshed(t, came)} {
		if got := e.principal(t, issued); got.UserID != p.UserID || got.HasRole("operator") {
			t.Errorf("%s: came as %s with %v", what, got.UserID, got.Roles)
		}
	}
	came, err = e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	stepped, err := e.sessions.StepUp(with(t.Context(), came), &authv1.StepUpRequest{Credential: &authv1.StepUpRequest_Password{Password: password}})
	must(t, err)
	if got := e.principal(t, stepped); !got.HasRole("operator") {
		t.Errorf("with the password she is %v", got.Roles)
	}
}

// S14: where addresses must be confirmed, an organization does not learn who has an
// account; and the mail tells.
func TestS14AnIssuerDoesNotLearnWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	e := setupEnterprise(t, func(c *auth.Config) { c.VerifiedEmail, c.Messages.SMTPURL = true, server.URL() })
	e.runService(t)
	p := &mail{bundle: e.bundle, server: server, emails: authv1.NewEmailServiceClient(e.conn)}
	var answers []string
	for _, who := range []map[string]any{claimsOf("1", "ada@acme.example"), claimsOf("2", "boss@acme.example")} {
		_, err := e.signInAs(t, who)
		wantReason(t, err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
		answers = append(answers, fault.From(err).Detail())
	}
	if answers[0] != answers[1] {
		t.Errorf("answered %q", answers)
	}
	if m := server.Wait(t, "boss@acme.example", "Somebody signed in with your address"); codePattern.MatchString(m.Text) {
		t.Error("the notice has a link")
	}
	_, token := p.link(t, "ada@acme.example", "Confirm your address")
	e.wantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	if err := p.verifyEmail(t, token); err != nil { // a newer mail may have left meanwhile
		server.Forget()
		e.wantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
		_, token = p.link(t, "ada@acme.example", "Confirm your address")
		must(t, p.verifyEmail(t, token))
	}
	tokens, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	if got := e.principal(t, tokens); got.OrganizationID != e.id {
		t.Errorf("came as %+v", got)
	}
	e.wantRefused(t, claimsOf("2", "boss@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
}

// S65: an issuer inside is not reached, whoever names it.
func TestS65IssuersInsideAreNotReached(t *testing.T) {
	t.Parallel()
	f := setupFederated(t)
	e := enterpriseOf(t, f, "boss@acme.example")
	_, err := e.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.provider})
	wantReason(t, err, faultv1.Reason_REASON_EGRESS_DENIED)
	for _, issuer := range []string{"https://169.254.169.254", "https://[::1]", "https://10.0.0.1:8443/x"} {
		_, err := e.update(t, e.owner, func(p *authv1.IdentityProvider) { p.Issuer = issuer }, "issuer", "client_secret")
		must(t, err)
		_, err = e.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.provider})
		wantReason(t, err, faultv1.Reason_REASON_EGRESS_DENIED)
	}
	if n := e.issuer.Asked("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("asked %d times", n)
	}
	// The operator's own are.
	_, err = f.signInAs(t, claimsOf("1", ada))
	must(t, err)
	// What an issuer names is guarded as it is.
	for _, name := range []string{"token_endpoint", "jwks_uri", "userinfo_endpoint"} {
		g := setupEnterprise(t)
		g.issuer.Metadata = func(m map[string]any) { m[name] = "https://169.254.169.254/x" }
		g.wantRefused(t, map[string]any{"sub": "1"}, faultv1.Reason_REASON_EGRESS_DENIED)
	}
}

// S73: the client's secret is never shown, rests sealed in its row, and is told to no
// issuer but its own.
func TestS73AClientsSecretIsForItsIssuerAlone(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	got, err := e.directory.GetIdentityProvider(with(t.Context(), e.owner), &authv1.GetIdentityProviderRequest{OrganizationId: e.id, Id: e.provider})
	must(t, err)
	listed, err := e.directory.ListIdentityProviders(with(t.Context(), e.owner), &authv1.ListIdentityProvidersRequest{OrganizationId: e.id})
	must(t, err)
	if !proto.Equal(got, e.made) || len(listed.GetIdentityProviders()) != 1 || got.GetClientSecret() != "" || got.GetRole() != "member" || got.GetDomains()[0] != "acme.example" {
		t.Errorf("%v, listed %v", got, listed)
	}
	stored := adminText(t, e.bundle, `SELECT string_agg(p::text || encode(sealed_secret, 'escape'), ' ') || (SELECT string_agg(a.changes::text, ' ')
		FROM audit.events a) FROM auth.identity_providers p`)
	if strings.Contains(stored, issuerstub.ClientSecret) {
		t.Error("the secret rests in the clear")
	}
	for _, field := range []string{"issuer", "client_id"} {
		_, err := e.update(t, e.owner, func(p *authv1.IdentityProvider) { p.Issuer, p.ClientId = "https://evil.example", "another" }, field)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "identityProvider.clientSecret" {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = e.update(t, e.owner, func(p *authv1.IdentityProvider) { p.DisplayName = "Renamed" }, "display_name", "client_secret")
	must(t, err)
	// Of the secret the trail tells that it changed, and no more.
	if got := adminText(t, e.bundle, "SELECT changes::text FROM audit.events WHERE action = 'auth.identity_provider.updated'"); !strings.Contains(got,
		`"clientSecret": {"after": null, "before": null}`) || !strings.Contains(got, `"displayName": {"after": "Renamed"`) {
		t.Errorf("the trail holds %s", got)
	}
	// Another row's content does not open.
	e.database.AdminExec(t, "UPDATE auth.identity_providers SET id = '"+id.New()+"'")
	e.provider = adminText(t, e.bundle, "SELECT id::text FROM auth.identity_providers")
	_, err = e.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.provider})
	wantReason(t, err, faultv1.Reason_REASON_INTERNAL)
}

func TestS46IdentityProvidersAreOfWhoAdministersTheOrganization(t *testing.T) {
	t.Parallel()
	e := setupEnterprise(t)
	other := enterpriseOf(t, e.federated, "boss@other.example")
	member, err := e.signInAs(t, claimsOf("1", "ada@acme.example"))
	must(t, err)
	same := func(*authv1.IdentityProvider) {}
	for tokens, want := range map[*authv1.TokenResponse]faultv1.Reason{
		member: faultv1.Reason_REASON_PERMISSION_DENIED, other.owner: faultv1.Reason_REASON_NOT_FOUND,
	} {
		_, err := e.create(t, tokens, e.description())
		wantReason(t, err, want)
		_, err = e.update(t, tokens, same, "display_name")
		wantReason(t, err, want)
		_, err = e.directory.GetIdentityProvider(with(t.Context(), tokens), &authv1.GetIdentityProviderRequest{OrganizationId: e.id, Id: e.provider})
		wantReason(t, err, want)
		_, err = e.directory.DeleteIdentityProvider(with(t.Context(), tokens), &authv1.DeleteIdentityProviderRequest{OrganizationId: e.id, Id: e.provider})
		wantReason(t, err, want)
	}
	// Under its own organization another's id is as absent.
	_, err = e.directory.DeleteIdentityProvider(with(t.Context(), other.owner), &authv1.DeleteIdentityProviderRequest{OrganizationId: other.id, Id: e.provider})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	for field, spoil := range map[string]func(*authv1.IdentityProvider){
		"displayName": func(p *authv1.IdentityProvider) { p.DisplayName = " " }, "issuer": func(p *authv1.IdentityProvider) { p.Issuer = "http://acme.example" },
		"clientId": func(p *authv1.IdentityProvider) { p.ClientId = "" }, "domains": func(p *authv1.IdentityProvider) { p.Domains = nil },
		"role": func(p *authv1.IdentityProvider) { p.Role = "owner" }, "domains[0]": func(p *authv1.IdentityProvider) { p.Domains = []string{"@x"} },
	} {
		p := e.description()
		spoil(p)
		_, err := e.create(t, e.owner, p)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "identityProvider."+field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = e.update(t, e.owner, func(p *authv1.IdentityProvider) { p.Etag = "7" }, "display_name")
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	for range 9 {
		_, err = e.create(t, e.owner, e.description())
		must(t, err)
	}
	_, err = e.create(t, e.owner, e.description())
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)

	_, err = e.directory.DeleteIdentityProvider(with(t.Context(), e.owner), &authv1.DeleteIdentityProviderRequest{OrganizationId: e.id, Id: e.provider})
	must(t, err)
	_, err = e.providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.provider})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	if n := adminText(t, e.bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities are left", n)
	}
	// S18: a stolen session of an owner does not open a lasting way in.
	e.clock.Advance(identity.MaxAuthAge + time.Second)
	_, err = e.create(t, e.owner, e.description())
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}
