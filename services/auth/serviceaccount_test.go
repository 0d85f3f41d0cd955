package auth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

func (b *bundle) createServiceAccount(ctx context.Context, organizationID string, roles ...string) (*authv1.ServiceAccount, error) {
	return b.serviceAccounts.CreateServiceAccount(ctx, &authv1.CreateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: &authv1.ServiceAccount{DisplayName: " Importer ", Roles: roles},
	})
}

func (b *bundle) updateServiceAccount(ctx context.Context, organizationID string, a *authv1.ServiceAccount, mask ...string) (*authv1.ServiceAccount, error) {
	return b.serviceAccounts.UpdateServiceAccount(ctx, &authv1.UpdateServiceAccountRequest{
		OrganizationId: organizationID, ServiceAccount: a, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}

func (b *bundle) deleteServiceAccount(ctx context.Context, organizationID, accountID string) error {
	_, err := b.serviceAccounts.DeleteServiceAccount(ctx, &authv1.DeleteServiceAccountRequest{OrganizationId: organizationID, Id: accountID})
	return err
}

func (b *bundle) createServiceKey(ctx context.Context, organizationID, accountID string, scopes ...string) (*authv1.ApiKeyWithSecret, error) {
	return b.serviceAccounts.CreateServiceAccountApiKey(ctx, &authv1.CreateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, ApiKey: &authv1.ApiKey{DisplayName: "Nightly", Scopes: scopes},
	})
}

func (b *bundle) rotateServiceKey(ctx context.Context, organizationID, accountID, keyID string) (*authv1.ApiKeyWithSecret, error) {
	return b.serviceAccounts.RotateServiceAccountApiKey(ctx, &authv1.RotateServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
}

func (b *bundle) deleteServiceKey(ctx context.Context, organizationID, accountID, keyID string) error {
	_, err := b.serviceAccounts.DeleteServiceAccountApiKey(ctx, &authv1.DeleteServiceAccountApiKeyRequest{
		OrganizationId: organizationID, ServiceAccountId: accountID, Id: keyID,
	})
	return err
}

// keyWorks tells whether a key's secret works.
func (b *bundle) keyWorks(t *testing.T, secret string) bool {
	t.Helper()
	_, err := b.service.APIKey(t.Context(), keys.Hash(secret))
	if err != nil {
		wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	}
	return err == nil
}

func TestTheLifeOfAServiceAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	custom := b.createRole(t, ada, "Importer", "knowledge.write")
	a, err := b.createServiceAccount(asAda, org, "viewer", custom.GetId())
	must(t, err)
	if a.GetDisplayName() != "Importer" || a.GetDisabled() || a.GetEtag() == "" || !slices.Equal(a.GetRoles(), []string{"viewer", custom.GetId()}) {
		t.Errorf("made %v", a)
	}
	created, err := b.createServiceKey(asAda, org, a.GetId(), "knowledge.write", "knowledge.read")
	must(t, err)
	k, err := b.service.APIKey(t.Context(), keys.Hash(created.GetSecret()))
	must(t, err)
	if k.UserID != a.GetId() || k.OrganizationID != org || !k.ServiceAccount || !slices.Equal(k.Permissions, []string{"knowledge.write"}) ||
		!slices.Equal(k.Roles, a.GetRoles()) {
		t.Errorf("resolved to %+v", k)
	}
	list, err := b.serviceAccounts.ListServiceAccountApiKeys(asAda, &authv1.ListServiceAccountApiKeysRequest{OrganizationId: org, ServiceAccountId: a.GetId()})
	must(t, err)
	if len(list.GetApiKeys()) != 1 || list.GetApiKeys()[0].GetId() != created.GetApiKey().GetId() || list.GetApiKeys()[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", list)
	}
	own, err := b.apiKeys.ListApiKeys(asAda, &authv1.ListApiKeysRequest{})
	must(t, err)
	if len(own.GetApiKeys()) > 0 {
		t.Errorf("its maker has %v", own)
	}
	rotated, err := b.rotateServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId())
	must(t, err)
	if b.keyWorks(t, created.GetSecret()) || !b.keyWorks(t, rotated.GetSecret()) {
		t.Error("after the rotation another secret works than should")
	}
	second, err := b.createServiceKey(asAda, org, a.GetId(), "chat.read")
	must(t, err)
	must(t, b.deleteServiceKey(asAda, org, a.GetId(), second.GetApiKey().GetId()))
	wantReason(t, b.deleteServiceKey(asAda, org, a.GetId(), second.GetApiKey().GetId()), faultv1.Reason_REASON_NOT_FOUND)
	if b.keyWorks(t, second.GetSecret()) {
		t.Error("a deleted key works")
	}
	renamed, err := b.updateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), DisplayName: "Reader", Etag: a.GetEtag()}, "display_name")
	must(t, err)
	if _, err = b.updateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), DisplayName: "x", Etag: a.GetEtag()}, "display_name"); !fault.Is(err, faultv1.Reason_REASON_ETAG_MISMATCH) {
		t.Errorf("a stale etag: %v", err)
	}
	got, err := b.serviceAccounts.GetServiceAccount(asAda, &authv1.GetServiceAccountRequest{OrganizationId: org, Id: a.GetId()})
	must(t, err)
	if got.GetDisplayName() != "Reader" || got.GetEtag() != renamed.GetEtag() || !slices.Equal(got.GetRoles(), a.GetRoles()) {
		t.Errorf("it is %v", got)
	}
	must(t, b.deleteServiceAccount(asAda, org, a.GetId()))
	wantReason(t, b.deleteServiceAccount(asAda, org, a.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	if left := adminText(t, b, "SELECT (SELECT count(*) FROM auth.users WHERE kind = 'service') || ' ' || (SELECT count(*) FROM auth.api_keys)"); left != "0 0" {
		t.Errorf("left: %s accounts and keys", left)
	}
	wantActions(t, b, org, "auth.user.created", "auth.session.created", "auth.role.created", "auth.service_account.created", "auth.api_key.created",
		"auth.api_key.rotated", "auth.api_key.created", "auth.api_key.deleted", "auth.service_account.updated", "auth.service_account.deleted")
}

// S22, S47: the keys of an account follow its roles, and end with its disabling and
// with it; streams that they opened end by the feed.
func TestS47ServiceKeysFollowTheirAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	custom := b.createRole(t, ada, "Importer", "knowledge.write")
	a, err := b.createServiceAccount(asAda, org, custom.GetId())
	must(t, err)
	created, err := b.createServiceKey(asAda, org, a.GetId(), "knowledge.write")
	must(t, err)
	secret := created.GetSecret()
	since := clock.System().Now()
	heard := func() (n int) {
		found, err := b.service.Revocations(t.Context(), since)
		must(t, err)
		for _, r := range found {
			if r.UserID == a.GetId() {
				n++
			}
		}
		return n
	}
	_, err = b.updateRole(asAda, org, &authv1.Role{Id: custom.GetId(), Permissions: []string{"knowledge.read"}}, "permissions")
	must(t, err)
	if k, err := b.service.APIKey(t.Context(), keys.Hash(secret)); err != nil || !slices.Equal(k.Permissions, []string{"knowledge.read"}) || heard() != 1 {
		t.Errorf("after the role changed: %+v, %v, heard %d", k, err, heard())
	}
	wantReason(t, b.deleteRole(asAda, org, custom.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	_, err = b.updateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), Roles: []string{"viewer"}}, "roles")
	must(t, err)
	if k, err := b.service.APIKey(t.Context(), keys.Hash(secret)); err != nil || !slices.Equal(k.Roles, []string{"viewer"}) || len(k.Permissions) > 0 || heard() != 2 {
		t.Errorf("with another role: %+v, %v, heard %d", k, err, heard())
	}
	for n, disabled := range []bool{true, false} {
		_, err = b.updateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), Disabled: disabled}, "disabled")
		must(t, err)
		if b.keyWorks(t, secret) == disabled || heard() != 3 {
			t.Errorf("change %d: disabled %v, the key works all the same; heard %d", n, disabled, heard())
		}
	}
	must(t, b.deleteServiceAccount(asAda, org, a.GetId()))
	if b.keyWorks(t, secret) || heard() != 4 {
		t.Errorf("deleted: the key works, or nobody heard: %d", heard())
	}
}

// S45: nobody makes an account that may more than they may, nor takes hold of one.
func TestS45ServiceAccountsAreNoWayUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	operator, org, asAda := b.operator(t), adas.OrganizationID, with(t.Context(), ada)
	keeperRole := b.createRole(t, ada, "Keeper", "service_accounts.write", "chat.read")
	low := b.createRole(t, ada, "Low", "chat.read")
	asKeeper := with(t.Context(), b.join(t, operator, org, "keeper@example.org", keeperRole.GetId()))
	asMember := with(t.Context(), b.join(t, operator, org, "member@example.org", "member"))
	mighty, err := b.createServiceAccount(asAda, org, "admin")
	must(t, err)
	mightyKey, err := b.createServiceKey(asAda, org, mighty.GetId(), "members.write")
	must(t, err)

	_, err = b.createServiceAccount(asMember, org, "viewer")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for _, role := range []string{"admin", "member", "viewer"} {
		_, err = b.createServiceAccount(asKeeper, org, role)
		wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	_, err = b.createServiceAccount(asAda, org, "owner")
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	mine, err := b.createServiceAccount(asKeeper, org, low.GetId())
	must(t, err)
	_, err = b.createServiceKey(asKeeper, org, mine.GetId(), "chat.read", "service_accounts.write")
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = b.createServiceKey(asKeeper, org, mine.GetId(), "chat.read")
	must(t, err)

	_, err = b.updateServiceAccount(asKeeper, org, &authv1.ServiceAccount{Id: mine.GetId(), Roles: []string{"member"}}, "roles")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.updateServiceAccount(asKeeper, org, &authv1.ServiceAccount{Id: mighty.GetId(), DisplayName: "x"}, "display_name")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.createServiceKey(asKeeper, org, mighty.GetId(), "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.rotateServiceKey(asKeeper, org, mighty.GetId(), mightyKey.GetApiKey().GetId())
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	// By way of an account of its own neither.
	_, err = b.rotateServiceKey(asKeeper, org, mine.GetId(), mightyKey.GetApiKey().GetId())
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.deleteServiceKey(asKeeper, org, mighty.GetId(), mightyKey.GetApiKey().GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.deleteServiceAccount(asKeeper, org, mighty.GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	if !b.keyWorks(t, mightyKey.GetSecret()) {
		t.Error("the key ended all the same")
	}
}

// S44: a service account is nobody who is treated as a person: not listed, not
// changed, not taken into another organization, and not a way to be an owner.
func TestS44ServiceAccountsAreNoPeople(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	operator, org, asAda := b.operator(t), adas.OrganizationID, with(t.Context(), ada)
	a, err := b.createServiceAccount(asAda, org, "admin")
	must(t, err)
	members, err := b.organizations.ListMembers(asAda, &authv1.ListMembersRequest{OrganizationId: org})
	must(t, err)
	if len(members.GetMembers()) != 1 || members.GetMembers()[0].GetUserId() != adas.UserID {
		t.Errorf("the members are %v", members)
	}
	wantReason(t, b.updateMember(asAda, org, a.GetId(), "owner"), faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.removeMember(asAda, org, a.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.removeMember(asAda, org, adas.UserID), faultv1.Reason_REASON_LAST_OWNER)
	_, err = b.organizations.AddMember(with(t.Context(), operator), &authv1.AddMemberRequest{
		OrganizationId: b.principal(t, operator).OrganizationID, UserId: a.GetId(), Roles: []string{"viewer"},
	})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	for _, path := range []string{"id", "etag", "organization_id", "email"} {
		_, err = b.updateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId()}, path)
		wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	for field, described := range map[string]*authv1.ServiceAccount{
		"serviceAccount.displayName": {DisplayName: " ", Roles: []string{"viewer"}},
		"serviceAccount.roles":       {DisplayName: "x"},
		"serviceAccount.roles[1]":    {DisplayName: "x", Roles: []string{"viewer", id.New()}},
	} {
		_, err = b.serviceAccounts.CreateServiceAccount(asAda, &authv1.CreateServiceAccountRequest{OrganizationId: org, ServiceAccount: described})
		wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %+v", field, v)
		}
	}
	// A person's id is no service account's.
	_, err = b.serviceAccounts.GetServiceAccount(asAda, &authv1.GetServiceAccountRequest{OrganizationId: org, Id: adas.UserID})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.deleteServiceAccount(asAda, org, adas.UserID), faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.createServiceKey(asAda, org, adas.UserID, "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	b.database.AdminExec(t, `WITH made AS (
		INSERT INTO auth.users SELECT (u).* FROM (SELECT jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid())) AS u
			FROM auth.users u, generate_series(1, 99) WHERE u.id = $1) AS copies RETURNING id)
		INSERT INTO auth.memberships SELECT m.organization_id, made.id, m.roles, m.created_at, m.updated_at FROM made, auth.memberships m WHERE m.user_id = $1`, a.GetId())
	_, err = b.createServiceAccount(asAda, org, "viewer")
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	page, err := b.serviceAccounts.ListServiceAccounts(asAda, &authv1.ListServiceAccountsRequest{OrganizationId: org, PageSize: 60})
	must(t, err)
	rest, err := b.serviceAccounts.ListServiceAccounts(asAda, &authv1.ListServiceAccountsRequest{OrganizationId: org, PageSize: 60, PageToken: page.GetNextPageToken()})
	must(t, err)
	if len(page.GetServiceAccounts()) != 60 || len(rest.GetServiceAccounts()) != 40 || rest.GetNextPageToken() != "" {
		t.Errorf("listed %d, then %d", len(page.GetServiceAccounts()), len(rest.GetServiceAccounts()))
	}
}

// S18: a key of a service account is made and rotated after a fresh sign-in alone.
func TestS18ServiceKeysNeedAFreshSignIn(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := setupWith(t, at, auth.Config{})
	ada, adas := b.signUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, with(t.Context(), ada)
	a, err := b.createServiceAccount(asAda, org, "viewer")
	must(t, err)
	created, err := b.createServiceKey(asAda, org, a.GetId(), "chat.read")
	must(t, err)
	at.Advance(6 * time.Minute)
	_, err = b.createServiceKey(asAda, org, a.GetId(), "chat.read")
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.rotateServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId())
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	must(t, b.deleteServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId()))
}

// S41: an account of another organization, and its keys, are as if absent.
func TestS41ForeignServiceAccountsAreAbsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, adas := b.signUp(t, "ada@example.org")
	eve, eves := b.signUp(t, "eve@example.org")
	a, err := b.createServiceAccount(with(t.Context(), ada), adas.OrganizationID, "viewer")
	must(t, err)
	created, err := b.createServiceKey(with(t.Context(), ada), adas.OrganizationID, a.GetId(), "chat.read")
	must(t, err)
	asEve, own := with(t.Context(), eve), eves.OrganizationID
	for name, call := range map[string]func(organizationID, accountID, keyID string) error{
		"update": func(org, accountID, _ string) error {
			_, err := b.updateServiceAccount(asEve, org, &authv1.ServiceAccount{Id: accountID, DisplayName: "x"}, "display_name")
			return err
		},
		"delete": func(org, accountID, _ string) error { return b.deleteServiceAccount(asEve, org, accountID) },
		"list keys": func(org, accountID, _ string) error {
			_, err := b.serviceAccounts.ListServiceAccountApiKeys(asEve, &authv1.ListServiceAccountApiKeysRequest{OrganizationId: org, ServiceAccountId: accountID})
			return err
		},
		"create a key": func(org, accountID, _ string) error {
			_, err := b.createServiceKey(asEve, org, accountID, "chat.read")
			return err
		},
		"rotate a key": func(org, accountID, keyID string) error {
			_, err := b.rotateServiceKey(asEve, org, accountID, keyID)
			return err
		},
		"delete a key": func(org, accountID, keyID string) error { return b.deleteServiceKey(asEve, org, accountID, keyID) },
	} {
		for _, org := range []string{own, adas.OrganizationID} {
			foreign, absent := fault.From(call(org, a.GetId(), created.GetApiKey().GetId())), fault.From(call(org, id.New(), id.New()))
			if foreign == nil || absent == nil || foreign.Error() != absent.Error() || foreign.Reason() != faultv1.Reason_REASON_NOT_FOUND {
				t.Errorf("%s: %v, and of nothing %v", name, foreign, absent)
			}
		}
	}
	if !b.keyWorks(t, created.GetSecret()) {
		t.Error("the key ended all the same")
	}
}
