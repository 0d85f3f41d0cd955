package auth_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

func TestConfigTellsWhatIsOffered(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		b := setupWith(t, clock.System(), auth.Config{SignUpClosed: closed, VerifiedEmail: closed, UploadBytes: 32, BodyBytes: 4, Version: "v1"})
		got, err := authv1.NewConfigServiceClient(b.conn).GetConfig(t.Context(), &authv1.GetConfigRequest{})
		must(t, err)
		signUp := map[bool]authv1.Config_SignUp{false: authv1.Config_OPEN, true: authv1.Config_CLOSED}[closed]
		if got.GetSignUp() != signUp || got.GetEmailVerification() != closed || got.GetVersion() != "v1" ||
			got.GetLimits().GetUploadBytes() != 32 || got.GetLimits().GetBodyBytes() != 4 {
			t.Errorf("closed %t: %v", closed, got)
		}
		if !slices.Equal(got.GetSignInMethods(), []string{"password", "email", "passkey"}) || !slices.Equal(got.GetFactors(), []string{"totp", "passkey"}) ||
			!slices.Equal(got.GetLocales(), []string{"en"}) || len(got.GetProviders()) != 0 {
			t.Errorf("offered: %v", got)
		}
	}
}

// Where sign-up is closed, an invitation opens it to the address that it was mailed
// to, and whoever runs the installation makes accounts.
func TestAClosedSignUpTakesAnInvitation(t *testing.T) {
	t.Parallel()
	p := setupMailWith(t, clock.System(), auth.Config{SignUpClosed: true})
	ask := func(address, token string) error {
		_, err := p.sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: password, InvitationToken: token})
		return err
	}
	wantReason(t, ask(ada, ""), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	must(t, p.service.CreateUser(t.Context(), auth.NewUser{Email: "root@example.org", Password: password, DisplayName: "ada"}))
	root := p.signIn(t, "root@example.org")
	_, err := p.invite(t, root, "Bob@example.org", "member")
	must(t, err)
	_, token := p.link(t, "Bob@example.org", invited)
	wantReason(t, ask(ada, token), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	wantReason(t, ask("bob@example.org", "no such token"), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	must(t, ask("bob@example.org", token))
	bob := p.signIn(t, "bob@example.org")
	organizationID, err := p.acceptInvitation(t, bob, token)
	must(t, err)
	if organizationID != p.principal(t, root).OrganizationID {
		t.Errorf("accepted into %s", organizationID)
	}
	// Once used it invites nobody.
	wantReason(t, ask("bob@example.org", token), faultv1.Reason_REASON_SIGN_UP_CLOSED)
}

// The installation's providers are offered; where sign-up is closed they bring nobody
// new.
func TestProvidersBringNobodyNewWhereSignUpIsClosed(t *testing.T) {
	t.Parallel()
	f := setupFederated(t, func(cfg *auth.Config) { cfg.SignUpClosed = true })
	got, err := authv1.NewConfigServiceClient(f.conn).GetConfig(t.Context(), &authv1.GetConfigRequest{})
	must(t, err)
	if p := got.GetProviders(); len(p) != 1 || p[0].GetId() != "acme" || p[0].GetDisplayName() != "ACME" {
		t.Errorf("offered %v", p)
	}
	f.wantRefused(t, claimsOf("1", ada), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	if n := adminText(t, f.bundle, "SELECT count(*)::text FROM auth.users"); n != "0" {
		t.Errorf("%s accounts were made", n)
	}
}
