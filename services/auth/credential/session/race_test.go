package session_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// changesOfRights returns the changes that remove rights.
func changesOfRights() map[string]authtest.Change[*rightsRace] {
	return map[string]authtest.Change[*rightsRace]{
		"demoted": {Action: "auth.member.updated", Do: func(ctx context.Context, r *rightsRace) error {
			return r.UpdateMember(authtest.With(ctx, r.owner), r.organizationID, r.user.UserID, "viewer")
		}},
		"removed": {Action: "auth.member.removed", Do: func(ctx context.Context, r *rightsRace) error {
			return r.RemoveMember(authtest.With(ctx, r.owner), r.organizationID, r.user.UserID)
		}},
		"role changed": {Action: "auth.role.updated", Do: func(ctx context.Context, r *rightsRace) error {
			_, err := r.UpdateRole(authtest.With(ctx, r.owner), r.organizationID, &authv1.Role{Id: r.role.GetId(), Permissions: []string{"chat.read"}}, "permissions")
			return err
		}},
		"role deleted": {Action: "auth.role.deleted", Do: func(ctx context.Context, r *rightsRace) error {
			return r.DeleteRole(authtest.With(ctx, r.owner), r.organizationID, r.role.GetId(), true)
		}},
		"organization deleted": {Action: "auth.organization.deleted", Do: func(ctx context.Context, r *rightsRace) error {
			_, err := r.Organizations.DeleteOrganization(authtest.With(ctx, r.owner), &authv1.DeleteOrganizationRequest{Id: r.organizationID})
			return err
		}},
		"disabled": {Action: "auth.user.disabled", Do: func(ctx context.Context, r *rightsRace) error {
			return r.Service.DisableUser(ctx, r.user.email, true)
		}},
		"no operator any more": {Action: "auth.user.operator_taken", Do: func(ctx context.Context, r *rightsRace) error {
			return r.Service.GrantOperator(ctx, r.user.email, false)
		}},
	}
}

// rightsRace is a member of an organization with a custom role, who is also an
// operator.
type rightsRace struct {
	*authtest.Bundle
	owner          *authv1.TokenResponse
	organizationID string
	role           *authv1.Role
	user           struct {
		*identity.Principal
		email string
	}
	home, member *authv1.TokenResponse
}

func setupRightsRace(t *testing.T) *rightsRace {
	t.Helper()
	r := &rightsRace{Bundle: authtest.Setup(t)}
	ada, _ := r.SignUp(t, "ada@example.org")
	created, err := r.Organizations.CreateOrganization(authtest.With(t.Context(), ada), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: "Library"},
	})
	authtest.Must(t, err)
	r.organizationID = created.GetId()
	r.owner, err = r.Sessions.SwitchOrganization(authtest.With(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: r.organizationID})
	authtest.Must(t, err)
	r.role = r.CreateRole(t, r.owner, "Librarian", "knowledge.write")
	r.user.email = "bob@example.org"
	r.Join(t, r.Operator(t), r.organizationID, r.user.email, r.role.GetId())
	authtest.Must(t, r.Service.GrantOperator(t.Context(), r.user.email, true))
	r.home = r.SignIn(t, r.user.email)
	r.member, err = r.switchTo(t.Context())
	authtest.Must(t, err)
	r.user.Principal = r.Principal(t, r.member)
	return r
}

func (r *rightsRace) switchTo(ctx context.Context) (*authv1.TokenResponse, error) {
	return r.Sessions.SwitchOrganization(authtest.With(ctx, r.home), &authv1.SwitchOrganizationRequest{OrganizationId: r.organizationID})
}

// rightsOf returns the rights in a token.
func rightsOf(p *identity.Principal) []string { return slices.Concat(p.Roles, p.Permissions) }

// wantNewRights fails the test when a token that was issued during a change has the old
// rights and is not revoked.
func (r *rightsRace) wantNewRights(t *testing.T, tokens *authv1.TokenResponse, since time.Time) {
	t.Helper()
	p := r.Principal(t, tokens)
	if !slices.Equal(rightsOf(p), rightsOf(r.user.Principal)) {
		return
	}
	found, err := r.Service.Revocations(t.Context(), since)
	authtest.Must(t, err)
	for _, f := range found {
		concerns := f.UserID == p.UserID || f.UserID == "" && f.OrganizationID == p.OrganizationID
		if concerns && !p.IssueTime.After(f.Time) || f.SessionID == p.SessionID {
			return
		}
	}
	t.Errorf("a token of %s has %v, with the revocations %+v", p.IssueTime, rightsOf(p), found)
}

// S22: a token that is issued while a change of rights commits either has the new
// rights, or is revoked by the change.
func TestS22ConcurrentTokenFollowsChangeOfRights(t *testing.T) {
	t.Parallel()
	for name, c := range changesOfRights() {
		t.Run(name+" before", func(t *testing.T) {
			t.Parallel()
			r, since := setupRightsRace(t), clock.System().Now()
			issued, err := authtest.RaceWith(t, r.Bundle, c.Action, func() error { return c.Do(t.Context(), r) },
				func() (*authv1.TokenResponse, error) {
					return r.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: r.member.GetRefreshToken()})
				})
			if err == nil { // a removed member gets no token
				r.wantNewRights(t, issued, since)
			}
		})
		t.Run(name+" after", func(t *testing.T) {
			t.Parallel()
			r, since := setupRightsRace(t), clock.System().Now()
			var issued *authv1.TokenResponse
			_, err := authtest.RaceWith(t, r.Bundle, "auth.session.created", func() (err error) {
				issued, err = r.switchTo(t.Context())
				return err
			}, func() (struct{}, error) { return struct{}{}, c.Do(t.Context(), r) })
			authtest.Must(t, err)
			r.wantNewRights(t, issued, since)
		})
	}
}

// S15: a client with the old password cannot sign in after the change, even when both
// run at once or the sign-in is half done.
func TestS15ConcurrentSignInFailsAfterNewPassword(t *testing.T) {
	t.Parallel()
	change := func(b *authtest.Bundle, tokens *authv1.TokenResponse) error {
		_, err := b.Accounts.ChangePassword(authtest.With(t.Context(), tokens), &authv1.ChangePasswordRequest{
			CurrentPassword: authtest.Password, NewPassword: "another staple entirely",
		})
		return err
	}
	signIn := func(b *authtest.Bundle) func() (*authv1.TokenResponse, error) {
		return func() (*authv1.TokenResponse, error) {
			return b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: authtest.Password})
		}
	}
	t.Run("with the password alone", func(t *testing.T) {
		t.Parallel()
		b := authtest.Setup(t)
		tokens, _ := b.SignUp(t, "ada@example.org")
		_, err := authtest.RaceWith(t, b, "auth.user.password_changed", func() error { return change(b, tokens) }, signIn(b))
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	})
	t.Run("with a second factor", func(t *testing.T) {
		t.Parallel()
		h := authtest.SetupFactorUser(t)
		_, err := authtest.RaceWith(t, h.Bundle, "auth.user.password_changed", func() error { return change(h.Bundle, h.Tokens) }, signIn(h.Bundle))
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	})
	t.Run("a sign-in that waits for its factor", func(t *testing.T) {
		t.Parallel()
		h := authtest.SetupFactorUser(t)
		challenge := h.Challenge(t)
		authtest.Must(t, change(h.Bundle, h.Tokens))
		h.Clock.Advance(authtest.TOTPStep)
		h.WantRefused(t, challenge, h.Code(t, 0))
	})
}
