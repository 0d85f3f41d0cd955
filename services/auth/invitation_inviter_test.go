package auth_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// inviting is an organization in which somebody who may invite has invited a second
// address, whose token is known.
type inviting struct {
	*mail
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
	in := &inviting{mail: setupMail(t, clock.System(), false)}
	owner, p := in.signUp(t, "ada@example.org")
	in.owner, in.org, in.operator = owner, p.OrganizationID, in.mail.operator(t)
	made, err := in.roles.CreateRole(with(t.Context(), owner), &authv1.CreateRoleRequest{
		OrganizationId: in.org, Role: &authv1.Role{DisplayName: "Inviter", Permissions: []string{"members.write", "chat.read"}},
	})
	must(t, err)
	in.roleID = made.GetId()
	if role == "custom" {
		role = in.roleID
	}
	in.inviter = in.join(t, in.operator, in.org, "inviter@example.org", role)
	in.inviterID = in.principal(t, in.inviter).UserID
	in.second, _ = in.signUp(t, secondAddress)
	_, err = in.invite(t, in.inviter, secondAddress, role)
	must(t, err)
	_, in.token = in.link(t, secondAddress, invited)
	return in
}

// wantWithdrawn checks that the invitation was deleted and cannot be accepted.
func (in *inviting) wantWithdrawn(t *testing.T) {
	t.Helper()
	if n := adminText(t, in.bundle, "SELECT count(*)::text FROM auth.invitations"); n != "0" {
		t.Errorf("%s invitations wait", n)
	}
	if n := adminText(t, in.bundle, "SELECT count(*)::text FROM audit.events WHERE action = 'auth.invitation.withdrawn'"); n != "1" {
		t.Errorf("the trail holds %s withdrawals", n)
	}
	_, err := in.acceptInvitation(t, in.second, in.token)
	wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
}

// Every change that takes rights from an inviter withdraws its invitations.
func TestS87AnInvitationEndsWithTheRightsOfItsInviter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		role string
		end  func(t *testing.T, in *inviting) error
	}{
		"removed": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.organizations.RemoveMember(with(t.Context(), in.owner), &authv1.RemoveMemberRequest{OrganizationId: in.org, UserId: in.inviterID})
			return err
		}},
		"leaving": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.organizations.RemoveMember(with(t.Context(), in.inviter), &authv1.RemoveMemberRequest{OrganizationId: in.org, UserId: in.inviterID})
			return err
		}},
		"demoted": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.updateMember(with(t.Context(), in.owner), in.org, in.inviterID, "member")
		}},
		"demoted to a role that invites lower ones": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.updateMember(with(t.Context(), in.owner), in.org, in.inviterID, in.roleID)
		}},
		"disabled by an operator": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.setDisabled(t, in.operator, in.inviterID, true)
		}},
		"disabled by the installation": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.service.DisableUser(t.Context(), "inviter@example.org", true)
		}},
		"deleting its account": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			return in.deleteMe(with(t.Context(), in.inviter))
		}},
		"deleted by an operator": {"admin", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.userAdmin().DeleteUser(with(t.Context(), in.operator), &authv1.DeleteUserRequest{Id: in.inviterID})
			return err
		}},
		"in a role that gives less": {"custom", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.roles.UpdateRole(with(t.Context(), in.owner), &authv1.UpdateRoleRequest{
				OrganizationId: in.org, Role: &authv1.Role{Id: in.roleID, Permissions: []string{"chat.read"}},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"permissions"}},
			})
			return err
		}},
		"in a role that is deleted": {"custom", func(t *testing.T, in *inviting) error {
			t.Helper()
			_, err := in.roles.DeleteRole(with(t.Context(), in.owner), &authv1.DeleteRoleRequest{OrganizationId: in.org, Id: in.roleID, Force: true})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := setupInviting(t, tc.role)
			must(t, tc.end(t, in))
			in.wantWithdrawn(t)
		})
	}
}

// An invitation of a service account ends with the rights of the account.
func TestS87AnInvitationEndsWithTheServiceAccountThatSentIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error{
		"disabled": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			a.Disabled = true
			_, err := in.updateServiceAccount(with(t.Context(), in.owner), in.org, a, "disabled")
			return err
		},
		"demoted": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			a.Roles = []string{"viewer"}
			_, err := in.updateServiceAccount(with(t.Context(), in.owner), in.org, a, "roles")
			return err
		},
		"deleted": func(t *testing.T, in *inviting, a *authv1.ServiceAccount) error {
			t.Helper()
			return in.deleteServiceAccount(with(t.Context(), in.owner), in.org, a.GetId())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := &inviting{mail: setupMail(t, clock.System(), false)}
			owner, p := in.signUp(t, "ada@example.org")
			in.owner, in.org = owner, p.OrganizationID
			in.database.AdminExec(t, "UPDATE auth.users SET email_verified = true WHERE id = $1", p.UserID)
			in.second, _ = in.signUp(t, secondAddress)
			account, err := in.createServiceAccount(with(t.Context(), owner), in.org, "admin")
			must(t, err)
			key, err := in.createServiceKey(with(t.Context(), owner), in.org, account.GetId(),
				"members.write", "assistants.read", "chat.read", "knowledge.read", "members.read", "roles.read")
			must(t, err)
			resolver, err := keys.NewResolver(in.service.APIKey, clock.System())
			must(t, err)
			server := rpctest.Serve(t, "auth", in.service.Register, rpctest.Options{APIKeys: resolver})
			_, err = authv1.NewInvitationServiceClient(server.Conn).CreateInvitation(rpctest.With(t.Context(), key.GetSecret()),
				&authv1.CreateInvitationRequest{OrganizationId: in.org, Email: secondAddress, Roles: []string{"viewer"}})
			must(t, err)
			_, in.token = in.link(t, secondAddress, invited)
			must(t, end(t, in, account))
			in.wantWithdrawn(t)
		})
	}
}

// Accepting checks the inviter's rights by itself, however they ended.
func TestS87AnInvitationIsNotAcceptedWithoutAnInviterWhoCouldSendIt(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "admin")
	for name, lost := range map[string]string{
		"disabled": "UPDATE auth.users SET disabled = true WHERE email = 'inviter@example.org'",
		"demoted":  "UPDATE auth.memberships SET roles = '{member}' WHERE user_id = '" + in.inviterID + "'",
		"gone":     "DELETE FROM auth.memberships WHERE user_id = '" + in.inviterID + "'",
	} {
		in.database.AdminExec(t, lost)
		if _, err := in.acceptInvitation(t, in.second, in.token); err == nil {
			t.Errorf("accepted though the inviter is %s", name)
		} else {
			wantReason(t, err, faultv1.Reason_REASON_TOKEN_INVALID)
		}
		in.database.AdminExec(t, "UPDATE auth.users SET disabled = false")
		in.database.AdminExec(t, `INSERT INTO auth.memberships (organization_id, user_id, roles, created_at, updated_at)
			VALUES ($1, $2, '{admin}', now(), now()) ON CONFLICT (organization_id, user_id) DO UPDATE SET roles = excluded.roles`, in.org, in.inviterID)
	}
	_, err := in.acceptInvitation(t, in.second, in.token)
	must(t, err)
}

// An invitation stays when the inviter loses rights that the invitation did not
// need.
func TestAnInvitationStaysWhileItsInviterCouldSendIt(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "custom")
	must(t, in.updateMember(with(t.Context(), in.owner), in.org, in.inviterID, in.roleID, "viewer"))
	must(t, in.updateMember(with(t.Context(), in.owner), in.org, in.inviterID, in.roleID))
	_, err := in.acceptInvitation(t, in.second, in.token)
	must(t, err)
}

// A member neither withdraws nor replaces an invitation that gives more than the
// member holds.
func TestS87AnInvitationAboveOnesOwnRightsStays(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "custom")
	theirs, err := in.invite(t, in.owner, "boss@example.org", "admin")
	must(t, err)
	withdraw := func(by *authv1.TokenResponse, id string) error {
		_, err := in.invitations.DeleteInvitation(with(t.Context(), by), &authv1.DeleteInvitationRequest{OrganizationId: in.org, Id: id})
		return err
	}
	wantReason(t, withdraw(in.inviter, theirs.GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = in.invite(t, in.inviter, "boss@example.org", in.roleID)
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	if got := in.invitationStates(t, in.owner)["boss@example.org"]; got != authv1.Invitation_PENDING {
		t.Errorf("the owner's invitation is %v", got)
	}
	// An expired invitation does not block a new one.
	in.database.AdminExec(t, "UPDATE auth.invitations SET expires_at = now() - interval '1 second' WHERE email = 'boss@example.org'")
	mine, err := in.invite(t, in.inviter, "boss@example.org", in.roleID)
	must(t, err)
	must(t, withdraw(in.inviter, mine.GetId()))
}

// An inviter who left while the organization was deleted invites nobody when it is
// restored.
func TestS87ARestoredOrganizationWithdrawsWhatNobodyCouldSend(t *testing.T) {
	t.Parallel()
	in := setupInviting(t, "admin")
	_, elsewhere := in.sharedOrganization(t, in.owner, "Elsewhere")
	in.database.AdminExec(t, "UPDATE auth.organizations SET personal = false WHERE id = $1", in.org)
	must(t, in.deleteOrganization(with(t.Context(), in.owner), in.org))
	must(t, in.setDisabled(t, in.operator, in.inviterID, true))
	_, err := in.undeleteOrganization(with(t.Context(), elsewhere), in.org)
	must(t, err)
	in.wantWithdrawn(t)
}
