package apikey_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestAPIKey_CreateRotateDelete(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, principal := b.SignUp(t, "ada@example.org")
	created := b.CreateKey(t, ada, "chat.write", "chat.read")
	k := created.GetApiKey()
	if !strings.HasPrefix(created.GetSecret(), k.GetPrefix()) || k.GetOrganizationId() != principal.OrganizationID || k.GetLastUsedTime() != nil {
		t.Errorf("created %v", k)
	}
	got, err := b.Service.APIKey(t.Context(), keys.Hash(created.GetSecret()))
	authtest.Must(t, err)
	if got.UserID != principal.UserID || got.ID != k.GetId() || strings.Join(got.Scopes, " ") != "chat.read chat.write" || strings.Join(got.Roles, " ") != "owner" {
		t.Errorf("resolved to %+v", got)
	}
	list, err := b.APIKeys.ListApiKeys(authtest.With(t.Context(), ada), &authv1.ListApiKeysRequest{})
	authtest.Must(t, err)
	if len(list.GetApiKeys()) != 1 || list.GetApiKeys()[0].GetLastUsedTime() == nil {
		t.Errorf("listed %v", list)
	}
	rotated, err := b.APIKeys.RotateApiKey(authtest.With(t.Context(), ada), &authv1.RotateApiKeyRequest{Id: k.GetId()})
	authtest.Must(t, err)
	for secret, alive := range map[string]bool{created.GetSecret(): false, rotated.GetSecret(): true} {
		if _, err := b.Service.APIKey(t.Context(), keys.Hash(secret)); (err == nil) != alive {
			t.Errorf("after the rotation, the key works: want %v, got %v", alive, err)
		}
	}
	_, err = b.APIKeys.DeleteApiKey(authtest.With(t.Context(), ada), &authv1.DeleteApiKeyRequest{Id: k.GetId()})
	authtest.Must(t, err)
	_, err = b.Service.APIKey(t.Context(), keys.Hash(rotated.GetSecret()))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	authtest.WantActions(t, b, principal.OrganizationID, "auth.user.created", "auth.session.created",
		"auth.api_key.created", "auth.api_key.rotated", "auth.api_key.deleted")
}

// S73: a copy of the database has no usable key.
func TestS73KeysAreStoredHashed(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	secret := b.CreateKey(t, ada, "chat.read").GetSecret()
	stored := authtest.AdminText(t, b, "SELECT string_agg(k::text, ' ') || (SELECT string_agg(e::text, ' ') FROM audit.events e) FROM auth.api_keys k")
	if strings.Contains(stored, secret) || strings.Contains(stored, secret[len(secret)-20:]) {
		t.Error("a secret is stored in plain text")
	}
}

func TestCreateApiKey_InvalidField_IsRefused(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	for field, k := range map[string]*authv1.ApiKey{
		"apiKey.scopes":      {DisplayName: "x", Scopes: []string{"chat.read", "organizations.operate"}},
		"apiKey.expireTime":  {DisplayName: "x", Scopes: []string{"chat.read"}, ExpireTime: timestamppb.New(clock.System().Now().Add(-time.Second))},
		"apiKey.displayName": {Scopes: []string{"chat.read"}},
	} {
		_, err := b.APIKeys.CreateApiKey(authtest.With(t.Context(), ada), &authv1.CreateApiKeyRequest{ApiKey: k})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %+v", field, v)
		}
	}
}

func TestAPIKey_Expired_IsRefused(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	secret := b.CreateKey(t, ada, "chat.read").GetSecret()
	b.Database.AdminExec(t, "UPDATE auth.api_keys SET expires_at = now() - interval '1 second'")
	_, err := b.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

// S47: a key never has more rights than its owner has now.
func TestS47KeyFollowsRightsOfOwner(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	bob, bobs := b.SignUp(t, "bob@example.org")
	ada, adas := b.SignUp(t, "ada@example.org")
	_, err := b.Organizations.AddMember(authtest.With(t.Context(), b.Operator(t)), &authv1.AddMemberRequest{
		OrganizationId: bobs.OrganizationID, UserId: adas.UserID, Roles: []string{"member"},
	})
	authtest.Must(t, err)
	switched, err := b.Sessions.SwitchOrganization(authtest.With(t.Context(), ada), &authv1.SwitchOrganizationRequest{OrganizationId: bobs.OrganizationID})
	authtest.Must(t, err)
	secret := b.CreateKey(t, switched, "assistants.write").GetSecret()
	roles := func() string {
		k, err := b.Service.APIKey(t.Context(), keys.Hash(secret))
		if err != nil {
			return "none"
		}
		return strings.Join(k.Roles, " ")
	}
	if got := roles(); got != "member" {
		t.Errorf("at first: %s", got)
	}
	_, err = b.Organizations.UpdateMember(authtest.With(t.Context(), bob), &authv1.UpdateMemberRequest{
		OrganizationId: bobs.OrganizationID, UserId: adas.UserID, Roles: []string{"viewer"},
	})
	authtest.Must(t, err)
	if got := roles(); got != "viewer" {
		t.Errorf("after the demotion: %s", got)
	}
	_, err = b.Organizations.RemoveMember(authtest.With(t.Context(), bob), &authv1.RemoveMemberRequest{OrganizationId: bobs.OrganizationID, UserId: adas.UserID})
	authtest.Must(t, err)
	if got := roles(); got != "none" {
		t.Errorf("after the removal: %s", got)
	}
}
