package authtest

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// CreateOrganization creates an organization, and returns its id and its owner's tokens for it.
func (b *Bundle) CreateOrganization(t *testing.T, owner *authv1.TokenResponse, name string) (string, *authv1.TokenResponse) {
	t.Helper()
	o, err := b.Organizations.CreateOrganization(With(t.Context(), owner), &authv1.CreateOrganizationRequest{
		Organization: &authv1.Organization{DisplayName: name},
	})
	Must(t, err)
	there, err := b.SwitchTo(t, owner, o.GetId())
	Must(t, err)
	return o.GetId(), there
}

// SwitchTo returns tokens for another organization.
func (b *Bundle) SwitchTo(t *testing.T, tokens *authv1.TokenResponse, organizationID string) (*authv1.TokenResponse, error) {
	t.Helper()
	return b.Sessions.SwitchOrganization(With(t.Context(), tokens), &authv1.SwitchOrganizationRequest{OrganizationId: organizationID})
}

// DeleteOrganization deletes an organization.
func (b *Bundle) DeleteOrganization(ctx context.Context, organizationID string) error {
	_, err := b.Organizations.DeleteOrganization(ctx, &authv1.DeleteOrganizationRequest{Id: organizationID})
	return err
}

// UndeleteOrganization restores a deleted organization.
func (b *Bundle) UndeleteOrganization(ctx context.Context, organizationID string) (*authv1.Organization, error) {
	return b.Organizations.UndeleteOrganization(ctx, &authv1.UndeleteOrganizationRequest{Id: organizationID})
}

// DeleteMe deletes the caller's account.
func (b *Bundle) DeleteMe(ctx context.Context) error {
	_, err := b.Accounts.DeleteMe(ctx, &authv1.DeleteMeRequest{})
	return err
}

// Refresh uses a refresh token.
func (b *Bundle) Refresh(ctx context.Context, tokens *authv1.TokenResponse) (*authv1.TokenResponse, error) {
	return b.Sessions.Refresh(ctx, &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
}

// Erasures returns the users and organizations that other services must erase.
func (b *Bundle) Erasures(ctx context.Context, t *testing.T) (users, organizations []string) {
	t.Helper()
	req := &authv1.ListErasuresRequest{PageSize: 1}
	for first := true; first || req.GetPageToken() != ""; first = false {
		page, err := authv1.NewErasureServiceClient(b.Conn).ListErasures(ctx, req)
		Must(t, err)
		for _, e := range page.GetErasures() {
			if e.GetUserId() != "" {
				users = append(users, e.GetUserId())
			} else {
				organizations = append(organizations, e.GetOrganizationId())
			}
		}
		req.PageToken = page.GetNextPageToken()
	}
	return users, organizations
}

// JoinByInvitation invites a guest to the organization of an operator and accepts the invitation. It
// returns the organization.
func (p *Mail) JoinByInvitation(t *testing.T, by, guest *authv1.TokenResponse, address string) string {
	t.Helper()
	_, err := p.Invite(t, by, address, "member")
	Must(t, err)
	_, token := p.Link(t, address, "You are invited to root")
	organizationID, err := p.AcceptInvitation(t, guest, token)
	Must(t, err)
	return organizationID
}

// WantErased fails the test if the database has personal data or rows of a deleted user.
func (p *Mail) WantErased(t *testing.T, who *identity.Principal) {
	t.Helper()
	if got := AdminText(t, p.Bundle, "SELECT replace(u::text, u.id::text, '') FROM auth.users u WHERE id = $1", who.UserID); strings.Contains(got, "ada") || strings.Contains(got, "argon2") {
		t.Errorf("the user is %s", got)
	}
	if n := AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth.invitations WHERE email ILIKE '%ada%' OR email_normalized LIKE '%ada%'"); n != "0" {
		t.Errorf("%s invitations hold the address", n)
	}
	tables := AdminText(t, p.Bundle, `SELECT string_agg(table_name, ' ') FROM information_schema.columns
		WHERE table_schema = 'auth' AND column_name = 'user_id' AND table_name <> 'revocations'`)
	if len(strings.Fields(tables)) < 8 {
		t.Errorf("only %s hold users' rows: nothing is shown", tables)
	}
	for table := range strings.FieldsSeq(tables) {
		if n := AdminText(t, p.Bundle, "SELECT count(*)::text FROM auth."+table+" WHERE user_id = $1", who.UserID); n != "0" {
			t.Errorf("%s holds %s rows of the user", table, n)
		}
	}
}

// RenameOrganization renames an organization.
func (b *Bundle) RenameOrganization(t *testing.T, by *authv1.TokenResponse, organizationID string) error {
	t.Helper()
	_, err := b.Organizations.UpdateOrganization(With(t.Context(), by), &authv1.UpdateOrganizationRequest{
		Organization: &authv1.Organization{Id: organizationID, DisplayName: "Other"},
	})
	return err
}
