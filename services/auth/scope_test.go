package auth_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// credentials is an organization with an admin and a viewer, and a server that accepts
// the admin's keys and the clients that act for the admin.
type credentials struct {
	*authtest.Bundle
	server                 *rpctest.Server
	org                    string
	admin                  *authv1.TokenResponse
	adminID, viewerID      string
	organizations          authv1.OrganizationServiceClient
	roles                  authv1.RoleServiceClient
	invitations            authv1.InvitationServiceClient
	role                   *authv1.Role
	everything, viewerMay  []string
	memberMay, onlyMembers []string
}

func setupCredentials(t *testing.T) *credentials {
	t.Helper()
	c := &credentials{Bundle: authtest.Setup(t)}
	_, owner := c.SignUp(t, "owner@example.org")
	c.org = owner.OrganizationID
	operator := c.Operator(t)
	c.admin = c.Join(t, operator, c.org, "admin@example.org", "admin")
	c.adminID = c.Principal(t, c.admin).UserID
	c.viewerID = c.Principal(t, c.Join(t, operator, c.org, "viewer@example.org", "viewer")).UserID
	resolver, err := keys.NewResolver(c.Service.APIKey, clock.System())
	authtest.Must(t, err)
	c.server = rpctest.Serve(t, "auth", c.Service.Register, rpctest.Options{APIKeys: resolver})
	c.organizations = authv1.NewOrganizationServiceClient(c.server.Conn)
	c.roles, c.invitations = authv1.NewRoleServiceClient(c.server.Conn), authv1.NewInvitationServiceClient(c.server.Conn)
	c.role, err = c.Roles.CreateRole(authtest.With(t.Context(), c.admin), &authv1.CreateRoleRequest{
		OrganizationId: c.org, Role: &authv1.Role{DisplayName: "Reader", Permissions: []string{"chat.read"}},
	})
	authtest.Must(t, err)
	authorizer, err := authz.New()
	authtest.Must(t, err)
	c.everything, c.viewerMay = authorizer.Permissions([]string{"admin"}, nil), authorizer.Permissions([]string{"viewer"}, nil)
	c.memberMay, c.onlyMembers = authorizer.Permissions([]string{"member"}, nil), []string{"members.write"}
	return c
}

// each runs a test with a key of the admin, and with an OAuth client that acts for the
// admin.
func (c *credentials) each(t *testing.T, scopes []string, run func(t *testing.T, as func() context.Context)) {
	t.Helper()
	secret := c.CreateKey(t, c.admin, scopes...).GetSecret()
	t.Run("a key", func(t *testing.T) { run(t, func() context.Context { return rpctest.With(t.Context(), secret) }) })
	t.Run("an OAuth client", func(t *testing.T) {
		run(t, func() context.Context { return c.server.AsClient(t, c.org, c.adminID, scopes, "admin") })
	})
}

func (c *credentials) updateMember(ctx context.Context, role string) error {
	_, err := c.organizations.UpdateMember(ctx, &authv1.UpdateMemberRequest{OrganizationId: c.org, UserId: c.viewerID, Roles: []string{role}})
	return err
}

func (c *credentials) widen(ctx context.Context, permissions ...string) error {
	_, err := c.roles.UpdateRole(ctx, &authv1.UpdateRoleRequest{
		OrganizationId: c.org, Role: &authv1.Role{Id: c.role.GetId(), Permissions: permissions},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"permissions"}},
	})
	return err
}

func TestS83KeyWithMembersWriteCannotGiveRoles(t *testing.T) {
	t.Parallel()
	c := setupCredentials(t)
	c.each(t, c.onlyMembers, func(t *testing.T, as func() context.Context) {
		t.Helper()
		for _, role := range []string{"owner", "admin", "member", "viewer", c.role.GetId()} {
			if err := c.updateMember(as(), role); !fault.Is(err, faultv1.Reason_REASON_INSUFFICIENT_SCOPE) {
				t.Errorf("the viewer becomes %s: %v", role, err)
			}
			_, err := c.invitations.CreateInvitation(as(), &authv1.CreateInvitationRequest{OrganizationId: c.org, Email: "x@example.org", Roles: []string{role}})
			if !fault.Is(err, faultv1.Reason_REASON_INSUFFICIENT_SCOPE) {
				t.Errorf("an invitation as %s: %v", role, err)
			}
		}
	})
}

func TestS83KeyWithRolesWriteCannotWidenRole(t *testing.T) {
	t.Parallel()
	c := setupCredentials(t)
	c.each(t, []string{"roles.write"}, func(t *testing.T, as func() context.Context) {
		t.Helper()
		for _, permissions := range [][]string{c.everything, {"roles.write"}, {"chat.read", "chat.write"}} {
			if err := c.widen(as(), permissions...); !fault.Is(err, faultv1.Reason_REASON_INSUFFICIENT_SCOPE) {
				t.Errorf("the role gets %q: %v", permissions, err)
			}
		}
		_, err := c.roles.DeleteRole(as(), &authv1.DeleteRoleRequest{OrganizationId: c.org, Id: c.role.GetId()})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INSUFFICIENT_SCOPE)
	})
}

// A key can give roles below those of its user, within its scopes. Only a first-party
// session can give roles as high as the user's own.
func TestS83RoleAsHighAsOwnNeedsFirstPartySession(t *testing.T) {
	t.Parallel()
	c := setupCredentials(t)
	c.each(t, c.everything, func(t *testing.T, as func() context.Context) {
		t.Helper()
		authtest.Must(t, c.updateMember(as(), "member"))
		authtest.Must(t, c.updateMember(as(), "viewer"))
		authtest.Must(t, c.widen(as(), "chat.read", "knowledge.read"))
		authtest.WantReason(t, c.updateMember(as(), "admin"), faultv1.Reason_REASON_INSUFFICIENT_SCOPE)
		authtest.WantReason(t, c.updateMember(as(), "owner"), faultv1.Reason_REASON_PERMISSION_DENIED)
	})
	viewers := append(append([]string{}, c.viewerMay...), c.onlyMembers...)
	c.each(t, viewers, func(t *testing.T, as func() context.Context) {
		t.Helper()
		authtest.Must(t, c.updateMember(as(), "viewer"))
		authtest.WantReason(t, c.updateMember(as(), "member"), faultv1.Reason_REASON_INSUFFICIENT_SCOPE)
	})
	_, err := c.Organizations.UpdateMember(authtest.With(t.Context(), c.admin), &authv1.UpdateMemberRequest{
		OrganizationId: c.org, UserId: c.viewerID, Roles: []string{"admin"},
	})
	authtest.Must(t, err)
}

// Only an admin may change an identity provider whose users become admins. A caller who
// sets its issuer could sign in with it as an admin.
func TestS83OnlyAdminChangesProviderOfAdmins(t *testing.T) {
	t.Parallel()
	e := authtest.SetupEnterprise(t)
	_, err := e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Role = "admin" }, "role")
	authtest.Must(t, err)
	created, err := e.Roles.CreateRole(authtest.With(t.Context(), e.Owner), &authv1.CreateRoleRequest{
		OrganizationId: e.OrganizationID, Role: &authv1.Role{DisplayName: "Directory", Permissions: []string{"identity_providers.write", "chat.read"}},
	})
	authtest.Must(t, err)
	clerk := e.Join(t, e.Operator(t), e.OrganizationID, "clerk@example.org", created.GetId(), "member")
	_, err = e.Update(t, clerk, func(p *authv1.IdentityProvider) { p.Domains = []string{"mine.example"} }, "domains")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = e.IdentityProviders.DeleteIdentityProvider(authtest.With(t.Context(), clerk), &authv1.DeleteIdentityProviderRequest{OrganizationId: e.OrganizationID, Id: e.Provider})
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = e.Update(t, e.Owner, func(p *authv1.IdentityProvider) { p.Role = "member" }, "role")
	authtest.Must(t, err)
	_, err = e.Update(t, clerk, func(p *authv1.IdentityProvider) { p.Domains = []string{"acme.example", "mine.example"} }, "domains")
	authtest.Must(t, err)
}
