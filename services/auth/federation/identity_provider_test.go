package federation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/federation/issuerstub"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestOrganizationProvider_NewUser_JoinsOrganization(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	tokens, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	p := e.Principal(t, tokens)
	if p.OrganizationID != e.OrganizationID || !slices.Equal(p.Roles, []string{"member"}) || !slices.Equal(p.Methods, []string{"fed"}) {
		t.Errorf("signed in as %+v", p)
	}
	// The organization's claim does not confirm an address.
	if u := tokens.GetUser(); u.GetEmail() != "ada@acme.example" || u.GetEmailVerified() {
		t.Errorf("signed in as %v", u)
	}
	again, err := e.SignInAs(t, claimsOf("1", "other@acme.example"))
	authtest.Must(t, err)
	if again.GetUser().GetId() != p.UserID {
		t.Errorf("signed in again as %v", again.GetUser())
	}
	_, err = e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Role = "viewer" }, "role")
	authtest.Must(t, err)
	second, err := e.SignInAs(t, claimsOf("2", "bob@acme.example"))
	authtest.Must(t, err)
	if p := e.Principal(t, second); !slices.Equal(p.Roles, []string{"viewer"}) {
		t.Errorf("signed in with %v", p.Roles)
	}
	authtest.WantActions(t, e.Bundle, e.OrganizationID, "auth.organization.created", "auth.session.created", "auth.identity_provider.created", "auth.member.added",
		"auth.session.created", "auth.session.created", "auth.identity_provider.updated", "auth.member.added", "auth.session.created")
	// S21: a removed member cannot return by signing in.
	_, err = e.Organizations.RemoveMember(authtest.With(t.Context(), e.Owner), &authv1.RemoveMemberRequest{OrganizationId: e.OrganizationID, UserId: p.UserID})
	authtest.Must(t, err)
	e.WantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	// S38: a second factor is still required.
	h := &authtest.FactorUser{Bundle: e.Bundle, Clock: e.Clock}
	h.Enroll(t, "bob@acme.example", second)
	partial, err := e.SignInAs(t, claimsOf("2", "bob@acme.example"))
	authtest.Must(t, err)
	if partial.GetAccessToken() != "" || partial.GetMfaChallenge() == nil {
		t.Errorf("an issuer alone returned %v", partial)
	}
}

// S16, S41: anyone may run an organization's issuer, and make it assert anything.
func TestS16HostileIssuerOpensNoOtherAccount(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	other := authtest.EnterpriseOf(t, e.Federated, "boss@other.example")
	_, err := other.Update(t, other.Owner, func(p *authv1.IdentityProvider) {
		p.Domains = []string{"acme.example", "example.org", "other.example"}
	}, "domains")
	authtest.Must(t, err)
	member, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	e.SignUp(t, authtest.Ada)
	before := authtest.AdminText(t, e.Bundle, "SELECT string_agg(u::text, ' ' ORDER BY id) FROM auth.users u")
	for what, profile := range map[string]map[string]any{
		"a member of another organization": claimsOf("1", "ada@acme.example"), // the same subject too
		"its owner":                        claimsOf("2", "boss@acme.example"),
		"an unconfirmed account":           claimsOf("3", "ADA@example.org"),
		"its owner again":                  claimsOf("4", "boss@acme.example"),
	} {
		if _, err := other.SignInAs(t, profile); !fault.Is(err, faultv1.Reason_REASON_IDENTITY_NOT_LINKED) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, address := range []string{"eve@elsewhere.example", "eve@sub.acme.example", "eve@acme.example.evil.example", "", "eve"} {
		other.Issuer.UserInfo = map[string]any{"sub": "5"}
		other.WantRefused(t, claimsOf("5", address), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	}
	if after := authtest.AdminText(t, e.Bundle, "SELECT string_agg(u::text, ' ' ORDER BY id) FROM auth.users u"); after != before {
		t.Errorf("an account changed:\n%s\n%s", before, after)
	}
	// Tokens with another issuer's name, or for another provider, are refused.
	other.Issuer.EditToken = func(_, claims map[string]any) { claims["iss"] = e.Issuer.URL }
	other.WantRefused(t, claimsOf("1", "new@other.example"), faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	other.Issuer.EditToken = nil
	started := e.Begin(t)
	code, err := other.Issuer.Authorize(started.GetAuthorizationUrl(), claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	_, err = e.Providers.FinishProviderSignIn(t.Context(), &authv1.FinishProviderSignInRequest{
		Provider: e.Provider, State: started.GetState(), Secret: started.GetSecret(), Code: code,
	})
	authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED)
	// With the other organization's issuer as its own, the same subject is still another user.
	_, err = other.Update(t, other.Owner, func(p *authv1.IdentityProvider) { p.Issuer = e.Issuer.URL }, "issuer", "client_secret")
	authtest.Must(t, err)
	other.Issuer = e.Issuer
	other.WantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_IDENTITY_NOT_LINKED)
	outsider, err := other.SignInAs(t, claimsOf("1", "new@other.example"))
	authtest.Must(t, err)
	if p := other.Principal(t, outsider); p.UserID == member.GetUser().GetId() || p.OrganizationID != other.OrganizationID {
		t.Errorf("signed in as %+v", p)
	}
}

func TestFinishIdentity_OrganizationProvider_JoinsOrganization(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	tokens, p := e.SignUp(t, "ada@elsewhere.example")
	e.LinkTo(t, tokens, claimsOf("1", "ada@acme.example"))
	signedIn, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	if got := e.Principal(t, signedIn); got.UserID != p.UserID || got.OrganizationID != e.OrganizationID || !slices.Equal(got.Roles, []string{"member"}) {
		t.Errorf("signed in as %+v", got)
	}
	// A member keeps the role.
	e.LinkTo(t, e.Owner, claimsOf("2", "boss@acme.example"))
	boss, err := e.SignInAs(t, claimsOf("2", "boss@acme.example"))
	authtest.Must(t, err)
	if got := e.Principal(t, boss); !slices.Equal(got.Roles, []string{"owner"}) {
		t.Errorf("signed in with %v", got.Roles)
	}
}

// S14: where addresses must be confirmed, an organization cannot learn who has an
// account. Only the email reveals it.
func TestS14IssuerCannotTestForAccounts(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	e := authtest.SetupEnterprise(t, func(c *auth.Config) { c.VerifiedEmail, c.Messages.SMTPURL = true, server.URL() })
	e.RunService(t)
	p := &authtest.Mail{Bundle: e.Bundle, Server: server, Emails: authv1.NewEmailServiceClient(e.Conn)}
	var answers []string
	for _, profile := range []map[string]any{claimsOf("1", "ada@acme.example"), claimsOf("2", "boss@acme.example")} {
		_, err := e.SignInAs(t, profile)
		authtest.WantReason(t, err, faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
		answers = append(answers, fault.From(err).Detail())
	}
	if answers[0] != answers[1] {
		t.Errorf("the responses are %q", answers)
	}
	if m := server.Wait(t, "boss@acme.example", "Somebody signed in with your address"); authtest.LinkPattern.MatchString(m.Text) {
		t.Error("the notice has a link")
	}
	_, token := p.Link(t, "ada@acme.example", "Confirm your address")
	e.WantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
	if err := p.VerifyEmail(t, token); err != nil { // a newer email may have been sent
		server.Forget()
		e.WantRefused(t, claimsOf("1", "ada@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
		_, token = p.Link(t, "ada@acme.example", "Confirm your address")
		authtest.Must(t, p.VerifyEmail(t, token))
	}
	tokens, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	if got := e.Principal(t, tokens); got.OrganizationID != e.OrganizationID {
		t.Errorf("signed in as %+v", got)
	}
	e.WantRefused(t, claimsOf("2", "boss@acme.example"), faultv1.Reason_REASON_PROVIDER_ADDRESS_UNVERIFIED)
}

// S65: an internal issuer is not reached, neither for an organization nor through the
// metadata of another issuer.
func TestS65InternalIssuersAreNotReached(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t)
	e := authtest.EnterpriseOf(t, f, "boss@acme.example")
	_, err := e.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.Provider})
	authtest.WantReason(t, err, faultv1.Reason_REASON_EGRESS_DENIED)
	for _, issuer := range []string{"https://169.254.169.254", "https://[::1]", "https://10.0.0.1:8443/x"} {
		_, err := e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Issuer = issuer }, "issuer", "client_secret")
		authtest.Must(t, err)
		_, err = e.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.Provider})
		authtest.WantReason(t, err, faultv1.Reason_REASON_EGRESS_DENIED)
	}
	if n := e.Issuer.Requests("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("%d requests", n)
	}
	// The operator's providers are reached.
	_, err = f.SignInAs(t, claimsOf("1", authtest.Ada))
	authtest.Must(t, err)
	// The addresses in an issuer's metadata are guarded too.
	for _, name := range []string{"token_endpoint", "jwks_uri", "userinfo_endpoint"} {
		g := authtest.SetupEnterprise(t)
		g.Issuer.Metadata = func(m map[string]any) { m[name] = "https://169.254.169.254/x" }
		g.WantRefused(t, map[string]any{"sub": "1"}, faultv1.Reason_REASON_EGRESS_DENIED)
	}
}

// S73: the client secret is never returned, is sealed in its row, and is sent to no
// other issuer.
func TestS73ClientSecretIsSealedAndBoundToIssuer(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	got, err := e.IdentityProviders.GetIdentityProvider(authtest.With(t.Context(), e.Owner), &authv1.GetIdentityProviderRequest{OrganizationId: e.OrganizationID, Id: e.Provider})
	authtest.Must(t, err)
	listed, err := e.IdentityProviders.ListIdentityProviders(authtest.With(t.Context(), e.Owner), &authv1.ListIdentityProvidersRequest{OrganizationId: e.OrganizationID})
	authtest.Must(t, err)
	if !proto.Equal(got, e.Created) || len(listed.GetIdentityProviders()) != 1 || got.GetClientSecret() != "" || got.GetRole() != "member" || got.GetDomains()[0] != "acme.example" {
		t.Errorf("%v, listed %v", got, listed)
	}
	stored := authtest.AdminText(t, e.Bundle, `SELECT string_agg(p::text || encode(sealed_secret, 'escape'), ' ') || (SELECT string_agg(a.changes::text, ' ')
		FROM audit.events a) FROM auth.identity_providers p`)
	if strings.Contains(stored, issuerstub.ClientSecret) {
		t.Error("the secret is stored in plain text")
	}
	for _, field := range []string{"issuer", "client_id"} {
		_, err := e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Issuer, p.ClientId = "https://evil.example", "another" }, field)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "identityProvider.clientSecret" {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.DisplayName = "Renamed" }, "display_name", "client_secret")
	authtest.Must(t, err)
	// The audit trail records that the secret changed, but not the secret.
	if got := authtest.AdminText(t, e.Bundle, "SELECT changes::text FROM audit.events WHERE action = 'auth.identity_provider.updated'"); !strings.Contains(got,
		`"clientSecret": {"after": null, "before": null}`) || !strings.Contains(got, `"displayName": {"after": "Renamed"`) {
		t.Errorf("the audit trail has %s", got)
	}
	// The value of another row cannot be opened.
	e.Database.AdminExec(t, "UPDATE auth.identity_providers SET id = '"+id.New()+"'")
	e.Provider = authtest.AdminText(t, e.Bundle, "SELECT id::text FROM auth.identity_providers")
	_, err = e.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.Provider})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INTERNAL)
}

func TestS46OnlyAdministratorsManageIdentityProviders(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	other := authtest.EnterpriseOf(t, e.Federated, "boss@other.example")
	member, err := e.SignInAs(t, claimsOf("1", "ada@acme.example"))
	authtest.Must(t, err)
	same := func(*authv1.IdentityProvider) {}
	for tokens, want := range map[*authv1.TokenResponse]faultv1.Reason{
		member: faultv1.Reason_REASON_PERMISSION_DENIED, other.Owner: faultv1.Reason_REASON_NOT_FOUND,
	} {
		_, err := e.Create(t, tokens, e.NewProvider())
		authtest.WantReason(t, err, want)
		_, err = e.Update(t, tokens, same, "display_name")
		authtest.WantReason(t, err, want)
		_, err = e.IdentityProviders.GetIdentityProvider(authtest.With(t.Context(), tokens), &authv1.GetIdentityProviderRequest{OrganizationId: e.OrganizationID, Id: e.Provider})
		authtest.WantReason(t, err, want)
		_, err = e.IdentityProviders.DeleteIdentityProvider(authtest.With(t.Context(), tokens), &authv1.DeleteIdentityProviderRequest{OrganizationId: e.OrganizationID, Id: e.Provider})
		authtest.WantReason(t, err, want)
	}
	// A provider of another organization does not exist for the caller.
	_, err = e.IdentityProviders.DeleteIdentityProvider(authtest.With(t.Context(), other.Owner), &authv1.DeleteIdentityProviderRequest{OrganizationId: other.OrganizationID, Id: e.Provider})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	for field, change := range map[string]func(*authv1.IdentityProvider){
		"displayName": func(p *authv1.IdentityProvider) { p.DisplayName = " " }, "issuer": func(p *authv1.IdentityProvider) { p.Issuer = "http://acme.example" },
		"clientId": func(p *authv1.IdentityProvider) { p.ClientId = "" }, "domains": func(p *authv1.IdentityProvider) { p.Domains = nil },
		"role": func(p *authv1.IdentityProvider) { p.Role = "owner" }, "domains[0]": func(p *authv1.IdentityProvider) { p.Domains = []string{"@x"} },
	} {
		p := e.NewProvider()
		change(p)
		_, err := e.Create(t, e.Owner, p)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "identityProvider."+field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Etag = "7" }, "display_name")
	authtest.WantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	for range 9 {
		_, err = e.Create(t, e.Owner, e.NewProvider())
		authtest.Must(t, err)
	}
	_, err = e.Create(t, e.Owner, e.NewProvider())
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)

	_, err = e.IdentityProviders.DeleteIdentityProvider(authtest.With(t.Context(), e.Owner), &authv1.DeleteIdentityProviderRequest{OrganizationId: e.OrganizationID, Id: e.Provider})
	authtest.Must(t, err)
	_, err = e.Providers.BeginProviderSignIn(t.Context(), &authv1.BeginProviderSignInRequest{Provider: e.Provider})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	if n := authtest.AdminText(t, e.Bundle, "SELECT count(*)::text FROM auth.identities"); n != "0" {
		t.Errorf("%s identities are left", n)
	}
	// S18: a stolen session of an owner cannot add a lasting way to sign in.
	e.Clock.Advance(identity.MaxAuthAge + time.Second)
	_, err = e.Create(t, e.Owner, e.NewProvider())
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}
