package invitation_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// inviting is an organization in which a member with the permission has invited a
// second address. The token of the invitation is known.
type inviting struct {
	*authtest.Mail
	owner, operator, inviter *authv1.TokenResponse
	org, inviterID, roleID   string
	second                   *authv1.TokenResponse
	token                    string
}

const secondAddress = "second@example.org"

// setupInviting creates an inviter with a role; "custom" is a custom role that may
// invite users to roles not above it.
func setupInviting(t *testing.T, role string) *inviting {
	t.Helper()
	in := &inviting{Mail: authtest.SetupMail(t, clock.System(), false)}
	owner, p := in.SignUp(t, "ada@example.org")
	in.owner, in.org, in.operator = owner, p.OrganizationID, in.Operator(t)
	created, err := in.Roles.CreateRole(authtest.With(t.Context(), owner), &authv1.CreateRoleRequest{
		OrganizationId: in.org, Role: &authv1.Role{DisplayName: "Inviter", Permissions: []string{"members.write", "chat.read"}},
	})
	authtest.Must(t, err)
	in.roleID = created.GetId()
	if role == "custom" {
		role = in.roleID
	}
	in.inviter = in.Join(t, in.operator, in.org, "inviter@example.org", role)
	in.inviterID = in.Principal(t, in.inviter).UserID
	in.second, _ = in.SignUp(t, secondAddress)
	_, err = in.Invite(t, in.inviter, secondAddress, role)
	authtest.Must(t, err)
	_, in.token = in.Link(t, secondAddress, authtest.InvitedSubject)
	return in
}

// wantWithdrawn checks that the invitation was deleted and cannot be accepted.
func (in *inviting) wantWithdrawn(t *testing.T) {
	t.Helper()
	if n := authtest.AdminText(t, in.Bundle, "SELECT count(*)::text FROM auth.invitations"); n != "0" {
		t.Errorf("%s invitations are pending", n)
	}
	if n := authtest.AdminText(t, in.Bundle, "SELECT count(*)::text FROM audit.events WHERE action = 'auth.invitation.withdrawn'"); n != "1" {
		t.Errorf("the audit trail has %s withdrawals", n)
	}
	_, err := in.AcceptInvitation(t, in.second, in.token)
	authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// Every change that removes rights from an inviter withdraws the inviter's invitations.
func TestS87InvitationEndsWithRightsOfInviter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		role string
		end  func(t *testing.T, in *inviting) error
	}{
		"removed": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.Organizations.RemoveMember(authtest.With(t.Context(), in.owner), &authv1.RemoveMemberRequest{OrganizationId: in.org, UserId: in.inviterID})
			return err
		}},
		"leaving": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.Organizations.RemoveMember(authtest.With(t.Context(), in.inviter), &authv1.RemoveMemberRequest{OrganizationId: in.org, UserId: in.inviterID})
			return err
		}},
		"demoted": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.UpdateMember(authtest.With(t.Context(), in.owner), in.org, in.inviterID, "member")
		}},
		"demoted to a role that invites lower ones": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.UpdateMember(authtest.With(t.Context(), in.owner), in.org, in.inviterID, in.roleID)
		}},
		"disabled by an operator": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.SetDisabled(t, in.operator, in.inviterID, true)
		}},
		"disabled by the installation": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.Service.DisableUser(t.Context(), "inviter@example.org", true)
		}},
		"deleting its account": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.DeleteMe(authtest.With(t.Context(), in.inviter))
		}},
		"deleted by an operator": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.UserAdmin().DeleteUser(authtest.With(t.Context(), in.operator), &authv1.DeleteUserRequest{Id: in.inviterID})
			return err
		}},
		"in a role that gives less": {"custom", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.Roles.UpdateRole(authtest.With(t.Context(), in.owner), &authv1.UpdateRoleRequest{
				OrganizationId: in.org, Role: &authv1.Role{Id: in.roleID, Permissions: []string{"chat.read"}},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"permissions"}},
			})
			return err
		}},
		"in a role that is deleted": {"custom", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.Roles.DeleteRole(authtest.With(t.Context(), in.owner), &authv1.DeleteRoleRequest{OrganizationId: in.org, Id: in.roleID, Force: true})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := setupInviting(t, tc.role)
			authtest.Must(t, tc.end(t, in))
			in.wantWithdrawn(t)
		})
	}
}

// An invitation of a service account ends with the rights of the account.
func TestS87InvitationEndsWithServiceAccount(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error{
		"disabled": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			a.Disabled = true
			_, err := in.UpdateServiceAccount(authtest.With(t.Context(), in.owner), in.org, a, "disabled")
			return err
		},
		"demoted": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			a.Roles = []string{"viewer"}
			_, err := in.UpdateServiceAccount(authtest.With(t.Context(), in.owner), in.org, a, "roles")
			return err
		},
		"deleted": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			return in.DeleteServiceAccount(authtest.With(t.Context(), in.owner), in.org, a.GetId())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &inviting{Mail: authtest.SetupMail(t, clock.System(), false)}
			owner, p := in.SignUp(t, "ada@example.org")
			in.owner, in.org = owner, p.OrganizationID
			in.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", p.UserID)
			in.second, _ = in.SignUp(t, secondAddress)
			account, err := in.CreateServiceAccount(authtest.With(t.Context(), owner), in.org, "admin")
			authtest.Must(t, err)
			key, err := in.CreateServiceKey(authtest.With(t.Context(), owner), in.org, account.GetId(),
				"members.write", "assistants.read", "chat.read", "knowledge.read", "members.read", "roles.read")
			authtest.Must(t, err)
			resolver, err := keys.NewResolver(in.Service.APIKey, clock.System())
			authtest.Must(t, err)
			server := rpctest.Serve(t, "auth", in.Service.Register, rpctest.Options{APIKeys: resolver})
			_, err = authv1.NewInvitationServiceClient(server.Conn).CreateInvitation(rpctest.With(t.Context(), key.GetSecret()),
				&authv1.CreateInvitationRequest{OrganizationId: in.org, Email: secondAddress, Roles: []string{"viewer"}})
			authtest.Must(t, err)
			_, in.token = in.Link(t, secondAddress, authtest.InvitedSubject)
			authtest.Must(t, end(t, in, account))
			in.wantWithdrawn(t)
		})
	}
}

// Accepting checks the current rights of the inviter, however they were lost.
func TestS87AcceptingChecksRightsOfInviter(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "admin")
	for name, lost := range map[string]string{
		"disabled": "UPDATE auth.users SET disabled = true WHERE email = 'inviter@example.org'",
		"demoted":  "UPDATE auth.memberships SET roles = '{member}' WHERE user_id = '" + in.inviterID + "'",
		"left":     "DELETE FROM auth.memberships WHERE user_id = '" + in.inviterID + "'",
	} {
		in.Database.AdminExec(t, lost)
		if _, err := in.AcceptInvitation(t, in.second, in.token); err == nil {
			t.Errorf("accepted though the inviter is %s", name)
		} else {
			authtest.WantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
		}
		in.Database.AdminExec(t, "UPDATE auth.users SET disabled = false")
		in.Database.AdminExec(t, `INSERT INTO auth.memberships (organization_id, user_id, roles, created_at, updated_at)
			VALUES ($1, $2, '{admin}', now(), now()) ON CONFLICT (organization_id, user_id) DO UPDATE SET roles = excluded.roles`, in.org, in.inviterID)
	}
	_, err := in.AcceptInvitation(t, in.second, in.token)
	authtest.Must(t, err)
}

// An invitation stays when the inviter loses rights that the invitation did not
// need.
func TestInvitation_InviterLosesOtherRights_Stays(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "custom")
	authtest.Must(t, in.UpdateMember(authtest.With(t.Context(), in.owner), in.org, in.inviterID, in.roleID, "viewer"))
	authtest.Must(t, in.UpdateMember(authtest.With(t.Context(), in.owner), in.org, in.inviterID, in.roleID))
	_, err := in.AcceptInvitation(t, in.second, in.token)
	authtest.Must(t, err)
}

// A member can neither withdraw nor replace an invitation that gives more than the
// member has.
func TestS87MemberCannotWithdrawHigherInvitation(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "custom")
	linked, err := in.Invite(t, in.owner, "boss@example.org", "admin")
	authtest.Must(t, err)
	withdraw := func(by *authv1.TokenResponse, id string) error {
		_, err := in.Invitations.DeleteInvitation(authtest.With(t.Context(), by), &authv1.DeleteInvitationRequest{OrganizationId: in.org, Id: id})
		return err
	}
	authtest.WantReason(t, withdraw(in.inviter, linked.GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = in.Invite(t, in.inviter, "boss@example.org", in.roleID)
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	if got := in.InvitationStates(t, in.owner)["boss@example.org"]; got != authv1.Invitation_PENDING {
		t.Errorf("the owner's invitation is %v", got)
	}
	// An expired invitation does not block a new one.
	in.Database.AdminExec(t, "UPDATE auth.invitations SET expires_at = now() - interval '1 second' WHERE email = 'boss@example.org'")
	own, err := in.Invite(t, in.inviter, "boss@example.org", in.roleID)
	authtest.Must(t, err)
	authtest.Must(t, withdraw(in.inviter, own.GetId()))
}

// The invitations of an inviter who left while the organization was deleted are
// withdrawn when it is restored.
func TestS87RestoringOrganizationChecksInvitations(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "admin")
	_, elsewhere := in.CreateOrganization(t, in.owner, "Elsewhere")
	in.Database.AdminExec(t, "UPDATE auth.organizations SET personal = false WHERE id = $1", in.org)
	authtest.Must(t, in.DeleteOrganization(authtest.With(t.Context(), in.owner), in.org))
	authtest.Must(t, in.SetDisabled(t, in.operator, in.inviterID, true))
	_, err := in.UndeleteOrganization(authtest.With(t.Context(), elsewhere), in.org)
	authtest.Must(t, err)
	in.wantWithdrawn(t)
}
