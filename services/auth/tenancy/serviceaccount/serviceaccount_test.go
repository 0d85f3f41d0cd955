package serviceaccount_test

import (
	"slices"
	"testing"
	"time"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestServiceAccount_CreateUpdateRotateDelete(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	custom := b.CreateRole(t, ada, "Importer", "knowledge.write")
	a, err := b.CreateServiceAccount(asAda, org, "viewer", custom.GetId())
	authtest.Must(t, err)
	if a.GetDisplayName() != "Importer" || a.GetDisabled() || a.GetEtag() == "" || !slices.Equal(a.GetRoles(), []string{"viewer", custom.GetId()}) {
		t.Errorf("created %v", a)
	}
	created, err := b.CreateServiceKey(asAda, org, a.GetId(), "knowledge.write", "knowledge.read")
	authtest.Must(t, err)
	k, err := b.Service.APIKey(t.Context(), keys.Hash(created.GetSecret()))
	authtest.Must(t, err)
	if k.UserID != a.GetId() || k.OrganizationID != org || !k.ServiceAccount || !slices.Equal(k.Permissions, []string{"knowledge.write"}) ||
		!slices.Equal(k.Roles, a.GetRoles()) {
		t.Errorf("resolved to %+v", k)
	}
	list, err := b.ServiceAccounts.ListServiceAccountApiKeys(asAda, &authv1.ListServiceAccountApiKeysRequest{OrganizationId: org, ServiceAccountId: a.GetId()})
	authtest.Must(t, err)
	if len(list.GetApiKeys()) != 1 || list.GetApiKeys()[0].GetId() != created.GetApiKey().GetId() || list.GetApiKeys()[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", list)
	}
	own, err := b.APIKeys.ListApiKeys(asAda, &authv1.ListApiKeysRequest{})
	authtest.Must(t, err)
	if len(own.GetApiKeys()) > 0 {
		t.Errorf("the creator has %v", own)
	}
	rotated, err := b.RotateServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId())
	authtest.Must(t, err)
	if b.KeyWorks(t, created.GetSecret()) || !b.KeyWorks(t, rotated.GetSecret()) {
		t.Error("after the rotation the wrong secret works")
	}
	second, err := b.CreateServiceKey(asAda, org, a.GetId(), "chat.read")
	authtest.Must(t, err)
	authtest.Must(t, b.DeleteServiceKey(asAda, org, a.GetId(), second.GetApiKey().GetId()))
	authtest.WantReason(t, b.DeleteServiceKey(asAda, org, a.GetId(), second.GetApiKey().GetId()), faultv1.Reason_REASON_NOT_FOUND)
	if b.KeyWorks(t, second.GetSecret()) {
		t.Error("a deleted key works")
	}
	renamed, err := b.UpdateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), DisplayName: "Reader", Etag: a.GetEtag()}, "display_name")
	authtest.Must(t, err)
	if _, err = b.UpdateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), DisplayName: "x", Etag: a.GetEtag()}, "display_name"); !fault.Is(err, faultv1.Reason_REASON_ETAG_MISMATCH) {
		t.Errorf("a stale etag: %v", err)
	}
	got, err := b.ServiceAccounts.GetServiceAccount(asAda, &authv1.GetServiceAccountRequest{OrganizationId: org, Id: a.GetId()})
	authtest.Must(t, err)
	if got.GetDisplayName() != "Reader" || got.GetEtag() != renamed.GetEtag() || !slices.Equal(got.GetRoles(), a.GetRoles()) {
		t.Errorf("it is %v", got)
	}
	authtest.Must(t, b.DeleteServiceAccount(asAda, org, a.GetId()))
	authtest.WantReason(t, b.DeleteServiceAccount(asAda, org, a.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	if left := authtest.AdminText(t, b, "SELECT (SELECT count(*) FROM auth.users WHERE kind = 'service') || ' ' || (SELECT count(*) FROM auth.api_keys)"); left != "0 0" {
		t.Errorf("left: %s accounts and keys", left)
	}
	authtest.WantActions(t, b, org, "auth.user.created", "auth.session.created", "auth.role.created", "auth.service_account.created", "auth.api_key.created",
		"auth.api_key.rotated", "auth.api_key.created", "auth.api_key.deleted", "auth.service_account.updated", "auth.service_account.deleted")
}

// S22, S47: the keys of an account follow its roles, and stop working when it is
// disabled or deleted. The feed ends the streams that they opened.
func TestS47ServiceKeysFollowAccount(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	custom := b.CreateRole(t, ada, "Importer", "knowledge.write")
	a, err := b.CreateServiceAccount(asAda, org, custom.GetId())
	authtest.Must(t, err)
	created, err := b.CreateServiceKey(asAda, org, a.GetId(), "knowledge.write")
	authtest.Must(t, err)
	secret := created.GetSecret()
	since := clock.System().Now()
	revocations := func() (n int) {
		found, err := b.Service.Revocations(t.Context(), since)
		authtest.Must(t, err)
		for _, r := range found {
			if r.UserID == a.GetId() {
				n++
			}
		}
		return n
	}
	_, err = b.UpdateRole(asAda, org, &authv1.Role{Id: custom.GetId(), Permissions: []string{"knowledge.read"}}, "permissions")
	authtest.Must(t, err)
	if k, err := b.Service.APIKey(t.Context(), keys.Hash(secret)); err != nil || !slices.Equal(k.Permissions, []string{"knowledge.read"}) || revocations() != 1 {
		t.Errorf("after the role changed: %+v, %v, %d revocations", k, err, revocations())
	}
	authtest.WantReason(t, b.DeleteRole(asAda, org, custom.GetId(), false), faultv1.Reason_REASON_NOT_EMPTY)
	_, err = b.UpdateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), Roles: []string{"viewer"}}, "roles")
	authtest.Must(t, err)
	if k, err := b.Service.APIKey(t.Context(), keys.Hash(secret)); err != nil || !slices.Equal(k.Roles, []string{"viewer"}) || len(k.Permissions) > 0 || revocations() != 2 {
		t.Errorf("with another role: %+v, %v, %d revocations", k, err, revocations())
	}
	for n, disabled := range []bool{true, false} {
		_, err = b.UpdateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId(), Disabled: disabled}, "disabled")
		authtest.Must(t, err)
		if b.KeyWorks(t, secret) == disabled || revocations() != 3 {
			t.Errorf("change %d: disabled %v, but the key works; %d revocations", n, disabled, revocations())
		}
	}
	authtest.Must(t, b.DeleteServiceAccount(asAda, org, a.GetId()))
	if b.KeyWorks(t, secret) || revocations() != 4 {
		t.Errorf("deleted: the key works, or %d revocations", revocations())
	}
}

// S45: nobody creates an account with more rights than they have, or manages one.
func TestS45ServiceAccountCannotExceedCaller(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	operator, org, asAda := b.Operator(t), adas.OrganizationID, authtest.With(t.Context(), ada)
	keeperRole := b.CreateRole(t, ada, "Keeper", "service_accounts.write", "chat.read")
	low := b.CreateRole(t, ada, "Low", "chat.read")
	asKeeper := authtest.With(t.Context(), b.Join(t, operator, org, "keeper@example.org", keeperRole.GetId()))
	asMember := authtest.With(t.Context(), b.Join(t, operator, org, "member@example.org", "member"))
	privileged, err := b.CreateServiceAccount(asAda, org, "admin")
	authtest.Must(t, err)
	privilegedKey, err := b.CreateServiceKey(asAda, org, privileged.GetId(), "members.write")
	authtest.Must(t, err)

	_, err = b.CreateServiceAccount(asMember, org, "viewer")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	for _, role := range []string{"admin", "member", "viewer"} {
		_, err = b.CreateServiceAccount(asKeeper, org, role)
		authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
	_, err = b.CreateServiceAccount(asAda, org, "owner")
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	mine, err := b.CreateServiceAccount(asKeeper, org, low.GetId())
	authtest.Must(t, err)
	_, err = b.CreateServiceKey(asKeeper, org, mine.GetId(), "chat.read", "service_accounts.write")
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = b.CreateServiceKey(asKeeper, org, mine.GetId(), "chat.read")
	authtest.Must(t, err)

	_, err = b.UpdateServiceAccount(asKeeper, org, &authv1.ServiceAccount{Id: mine.GetId(), Roles: []string{"member"}}, "roles")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.UpdateServiceAccount(asKeeper, org, &authv1.ServiceAccount{Id: privileged.GetId(), DisplayName: "x"}, "display_name")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.CreateServiceKey(asKeeper, org, privileged.GetId(), "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.RotateServiceKey(asKeeper, org, privileged.GetId(), privilegedKey.GetApiKey().GetId())
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	// A service account cannot be used for this either.
	_, err = b.RotateServiceKey(asKeeper, org, mine.GetId(), privilegedKey.GetApiKey().GetId())
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.DeleteServiceKey(asKeeper, org, privileged.GetId(), privilegedKey.GetApiKey().GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.DeleteServiceAccount(asKeeper, org, privileged.GetId()), faultv1.Reason_REASON_PERMISSION_DENIED)
	if !b.KeyWorks(t, privilegedKey.GetSecret()) {
		t.Error("the key stopped working")
	}
}

// S44: a service account is not treated as a user: it is not listed or changed as a
// member, not added to another organization, and cannot be an owner.
func TestS44ServiceAccountIsNotTreatedAsUser(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	operator, org, asAda := b.Operator(t), adas.OrganizationID, authtest.With(t.Context(), ada)
	a, err := b.CreateServiceAccount(asAda, org, "admin")
	authtest.Must(t, err)
	members, err := b.Organizations.ListMembers(asAda, &authv1.ListMembersRequest{OrganizationId: org})
	authtest.Must(t, err)
	if len(members.GetMembers()) != 1 || members.GetMembers()[0].GetUserId() != adas.UserID {
		t.Errorf("the members are %v", members)
	}
	authtest.WantReason(t, b.UpdateMember(asAda, org, a.GetId(), "owner"), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.RemoveMember(asAda, org, a.GetId()), faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.RemoveMember(asAda, org, adas.UserID), faultv1.Reason_REASON_LAST_OWNER)
	_, err = b.Organizations.AddMember(authtest.With(t.Context(), operator), &authv1.AddMemberRequest{
		OrganizationId: b.Principal(t, operator).OrganizationID, UserId: a.GetId(), Roles: []string{"viewer"},
	})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	for _, path := range []string{"id", "etag", "organization_id", "email"} {
		_, err = b.UpdateServiceAccount(asAda, org, &authv1.ServiceAccount{Id: a.GetId()}, path)
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	for field, described := range map[string]*authv1.ServiceAccount{
		"serviceAccount.displayName": {DisplayName: " ", Roles: []string{"viewer"}},
		"serviceAccount.roles":       {DisplayName: "x"},
		"serviceAccount.roles[1]":    {DisplayName: "x", Roles: []string{"viewer", id.New()}},
	} {
		_, err = b.ServiceAccounts.CreateServiceAccount(asAda, &authv1.CreateServiceAccountRequest{OrganizationId: org, ServiceAccount: described})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %+v", field, v)
		}
	}
	// The id of a user is not that of a service account.
	_, err = b.ServiceAccounts.GetServiceAccount(asAda, &authv1.GetServiceAccountRequest{OrganizationId: org, Id: adas.UserID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.DeleteServiceAccount(asAda, org, adas.UserID), faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.CreateServiceKey(asAda, org, adas.UserID, "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)

	b.Database.AdminExec(t, `WITH made AS (
		INSERT INTO auth.users SELECT (u).* FROM (SELECT jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid())) AS u
			FROM auth.users u, generate_series(1, 99) WHERE u.id = $1) AS copies RETURNING id)
		INSERT INTO auth.memberships SELECT m.organization_id, made.id, m.roles, m.created_at, m.updated_at FROM made, auth.memberships m WHERE m.user_id = $1`, a.GetId())
	_, err = b.CreateServiceAccount(asAda, org, "viewer")
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	page, err := b.ServiceAccounts.ListServiceAccounts(asAda, &authv1.ListServiceAccountsRequest{OrganizationId: org, PageSize: 60})
	authtest.Must(t, err)
	rest, err := b.ServiceAccounts.ListServiceAccounts(asAda, &authv1.ListServiceAccountsRequest{OrganizationId: org, PageSize: 60, PageToken: page.GetNextPageToken()})
	authtest.Must(t, err)
	if len(page.GetServiceAccounts()) != 60 || len(rest.GetServiceAccounts()) != 40 || rest.GetNextPageToken() != "" {
		t.Errorf("listed %d, then %d", len(page.GetServiceAccounts()), len(rest.GetServiceAccounts()))
	}
}

// S18: creating and rotating a key of a service account needs a recent sign-in.
func TestS18ServiceKeysNeedRecentSignIn(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := authtest.SetupWith(t, at, auth.Config{})
	ada, adas := b.SignUp(t, "ada@example.org")
	org, asAda := adas.OrganizationID, authtest.With(t.Context(), ada)
	a, err := b.CreateServiceAccount(asAda, org, "viewer")
	authtest.Must(t, err)
	created, err := b.CreateServiceKey(asAda, org, a.GetId(), "chat.read")
	authtest.Must(t, err)
	at.Advance(6 * time.Minute)
	_, err = b.CreateServiceKey(asAda, org, a.GetId(), "chat.read")
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = b.RotateServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId())
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	authtest.Must(t, b.DeleteServiceKey(asAda, org, a.GetId(), created.GetApiKey().GetId()))
}

// S41: an account of another organization does not exist for the caller, and neither do
// its keys.
func TestS41ServiceAccountOfOtherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	eve, eves := b.SignUp(t, "eve@example.org")
	a, err := b.CreateServiceAccount(authtest.With(t.Context(), ada), adas.OrganizationID, "viewer")
	authtest.Must(t, err)
	created, err := b.CreateServiceKey(authtest.With(t.Context(), ada), adas.OrganizationID, a.GetId(), "chat.read")
	authtest.Must(t, err)
	asEve, own := authtest.With(t.Context(), eve), eves.OrganizationID
	for name, call := range map[string]func(organizationID, accountID, keyID string) error{
		"update": func(org, accountID, _ string) error {
			_, err := b.UpdateServiceAccount(asEve, org, &authv1.ServiceAccount{Id: accountID, DisplayName: "x"}, "display_name")
			return err
		},
		"delete": func(org, accountID, _ string) error { return b.DeleteServiceAccount(asEve, org, accountID) },
		"list keys": func(org, accountID, _ string) error {
			_, err := b.ServiceAccounts.ListServiceAccountApiKeys(asEve, &authv1.ListServiceAccountApiKeysRequest{OrganizationId: org, ServiceAccountId: accountID})
			return err
		},
		"create a key": func(org, accountID, _ string) error {
			_, err := b.CreateServiceKey(asEve, org, accountID, "chat.read")
			return err
		},
		"rotate a key": func(org, accountID, keyID string) error {
			_, err := b.RotateServiceKey(asEve, org, accountID, keyID)
			return err
		},
		"delete a key": func(org, accountID, keyID string) error { return b.DeleteServiceKey(asEve, org, accountID, keyID) },
	} {
		for _, org := range []string{own, adas.OrganizationID} {
			foreign, absent := fault.From(call(org, a.GetId(), created.GetApiKey().GetId())), fault.From(call(org, id.New(), id.New()))
			if foreign == nil || absent == nil || foreign.Error() != absent.Error() || foreign.Reason() != faultv1.Reason_REASON_NOT_FOUND {
				t.Errorf("%s: %v, but for an unknown id %v", name, foreign, absent)
			}
		}
	}
	if !b.KeyWorks(t, created.GetSecret()) {
		t.Error("the key stopped working")
	}
}
