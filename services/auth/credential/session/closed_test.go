package session_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// Where sign-up is closed, an invited address may sign up, and the administrator of the
// installation can create accounts.
func TestSignUp_Closed_NeedsInvitation(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMailWith(t, clock.System(), auth.Config{SignUpClosed: true})
	ask := func(address, token string) error {
		_, err := p.Sessions.SignUp(t.Context(), &authv1.SignUpRequest{Email: address, Password: authtest.Password, InvitationToken: token})
		return err
	}
	authtest.WantReason(t, ask(authtest.Ada, ""), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	authtest.Must(t, p.Service.CreateUser(t.Context(), auth.NewUser{Email: "root@example.org", Password: authtest.Password, DisplayName: "ada"}))
	root := p.SignIn(t, "root@example.org")
	_, err := p.Invite(t, root, "Bob@example.org", "member")
	authtest.Must(t, err)
	_, token := p.Link(t, "Bob@example.org", authtest.InvitedSubject)
	authtest.WantReason(t, ask(authtest.Ada, token), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	authtest.WantReason(t, ask("bob@example.org", "no such token"), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	authtest.Must(t, ask("bob@example.org", token))
	bob := p.SignIn(t, "bob@example.org")
	organizationID, err := p.AcceptInvitation(t, bob, token)
	authtest.Must(t, err)
	if organizationID != p.Principal(t, root).OrganizationID {
		t.Errorf("accepted into %s", organizationID)
	}
	// A used invitation works no more.
	authtest.WantReason(t, ask("bob@example.org", token), faultv1.Reason_REASON_SIGN_UP_CLOSED)
}
