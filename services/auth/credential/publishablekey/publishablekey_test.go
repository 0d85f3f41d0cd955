package publishablekey_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S55: a key stands for its organization only on pages of exactly its origins, until it
// is disabled or deleted.
func TestS55PublishableKeyWorksOnItsOrigins(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	asAda := authtest.With(t.Context(), ada)
	k, err := b.CreatePublishableKey(asAda, "https://www.example.com", "http://localhost:3000")
	authtest.Must(t, err)
	if !strings.HasPrefix(k.GetKey(), keys.PublishablePrefix) || len(k.GetKey()) != len(keys.NewPublishable()) || k.GetDisplayName() != "Site" || k.GetDisabled() || k.GetEtag() == "" {
		t.Errorf("created %v", k)
	}
	directory := authv1.NewPublishableKeyDirectoryServiceClient(b.Conn)
	resolve := func(ctx context.Context, key, of string) (*authv1.ResolvePublishableKeyResponse, error) {
		return directory.ResolvePublishableKey(ctx, &authv1.ResolvePublishableKeyRequest{Key: key, Origin: of})
	}
	asChat := b.AsService(t, "auth")
	stands := func(of string, want faultv1.Reason) {
		t.Helper()
		got, err := resolve(asChat, k.GetKey(), of)
		if want != 0 && !fault.Is(err, want) || want == 0 && (err != nil || got.GetId() != k.GetId() || got.GetOrganizationId() != adas.OrganizationID) {
			t.Errorf("on %s it stands for %+v, %v", of, got, err)
		}
	}
	stands("https://www.example.com", 0)
	stands("http://localhost:3000", 0)
	for _, of := range []string{
		"", "null", "http://www.example.com", "https://www.example.com:8443", "https://example.com", "https://evil.www.example.com",
		"https://www.example.com.evil.com", "https://www.example.com/", "HTTPS://WWW.EXAMPLE.COM", "http://localhost", "%",
	} {
		stands(of, faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED)
	}
	_, err = resolve(asChat, keys.NewPublishable(), "https://www.example.com")
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)

	changed, err := b.UpdatePublishableKey(asAda, &authv1.PublishableKey{Id: k.GetId(), Origins: []string{"https://new.example.com"}, Etag: k.GetEtag()}, "origins")
	authtest.Must(t, err)
	if changed.GetKey() != k.GetKey() || changed.GetEtag() == k.GetEtag() || changed.GetDisplayName() != "Site" {
		t.Errorf("changed to %v", changed)
	}
	_, err = b.UpdatePublishableKey(asAda, &authv1.PublishableKey{Id: k.GetId(), DisplayName: "x", Etag: k.GetEtag()}, "display_name")
	authtest.WantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	stands("https://www.example.com", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED)
	stands("https://new.example.com", 0)
	for _, disabled := range []bool{true, false} {
		_, err = b.UpdatePublishableKey(asAda, &authv1.PublishableKey{Id: k.GetId(), Disabled: disabled}, "disabled")
		authtest.Must(t, err)
		stands("https://new.example.com", map[bool]faultv1.Reason{true: faultv1.Reason_REASON_UNAUTHENTICATED}[disabled])
	}
	got, err := b.PublishableKeys.GetPublishableKey(asAda, &authv1.GetPublishableKeyRequest{Id: k.GetId()})
	authtest.Must(t, err)
	if got.GetKey() != k.GetKey() || !slices.Equal(got.GetOrigins(), []string{"https://new.example.com"}) {
		t.Errorf("it is %v", got)
	}
	_, err = b.PublishableKeys.DeletePublishableKey(asAda, &authv1.DeletePublishableKeyRequest{Id: k.GetId()})
	authtest.Must(t, err)
	stands("https://new.example.com", faultv1.Reason_REASON_UNAUTHENTICATED)
	authtest.WantActions(t, b, adas.OrganizationID, "auth.user.created", "auth.session.created", "auth.publishable_key.created", "auth.publishable_key.updated",
		"auth.publishable_key.updated", "auth.publishable_key.updated", "auth.publishable_key.deleted")
}

// S44, S55: an invalid key is refused with the field that is wrong.
func TestS55InvalidPublishableKeyIsRefused(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, _ := b.SignUp(t, "ada@example.org")
	asAda := authtest.With(t.Context(), ada)
	const good = "https://www.example.com"
	for field, described := range map[string]*authv1.PublishableKey{
		"publishableKey.displayName": {DisplayName: " ", Origins: []string{good}},
		"publishableKey.origins":     {DisplayName: "x"},
		"publishableKey.origins[0]":  {DisplayName: "x", Origins: []string{"*", good}},
		"publishableKey.origins[1]":  {DisplayName: "x", Origins: []string{good, "https://*.example.com"}},
		"publishableKey.origins[2]":  {DisplayName: "x", Origins: []string{good, "http://a.example", "null"}},
		"publishableKey.origins[3]":  {DisplayName: "x", Origins: []string{good, "http://a.example", "http://b.example", good + "/path"}},
	} {
		_, err := b.PublishableKeys.CreatePublishableKey(asAda, &authv1.CreatePublishableKeyRequest{PublishableKey: described})
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %+v", field, v)
		}
	}
	k, err := b.CreatePublishableKey(asAda, good)
	authtest.Must(t, err)
	for _, path := range []string{"id", "key", "etag", "organization_id", "origins"} {
		_, err = b.UpdatePublishableKey(asAda, &authv1.PublishableKey{Id: k.GetId(), Key: "pk_mine"}, path)
		authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	}
	b.Database.AdminExec(t, `INSERT INTO auth.publishable_keys SELECT organization_id, gen_random_uuid(), key || n, 'key ' || n, origins, false, 1, created_at, created_at
		FROM auth.publishable_keys, generate_series(1, 99) AS n WHERE id = $1`, k.GetId())
	_, err = b.CreatePublishableKey(asAda, good)
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	page, err := b.PublishableKeys.ListPublishableKeys(asAda, &authv1.ListPublishableKeysRequest{PageSize: 60})
	authtest.Must(t, err)
	rest, err := b.PublishableKeys.ListPublishableKeys(asAda, &authv1.ListPublishableKeysRequest{PageSize: 60, PageToken: page.GetNextPageToken()})
	authtest.Must(t, err)
	if len(page.GetPublishableKeys()) != 60 || len(rest.GetPublishableKeys()) != 40 || rest.GetNextPageToken() != "" {
		t.Errorf("listed %d, then %d", len(page.GetPublishableKeys()), len(rest.GetPublishableKeys()))
	}
}

// S41, S46: a key of another organization does not exist for the caller, and a caller
// who may only read keys cannot change them.
func TestS41PublishableKeyOfOtherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, adas := b.SignUp(t, "ada@example.org")
	eve, _ := b.SignUp(t, "eve@example.org")
	k, err := b.CreatePublishableKey(authtest.With(t.Context(), ada), "https://www.example.com")
	authtest.Must(t, err)
	asEve := authtest.With(t.Context(), eve)
	for _, keyID := range []string{k.GetId(), id.New()} {
		_, err = b.PublishableKeys.GetPublishableKey(asEve, &authv1.GetPublishableKeyRequest{Id: keyID})
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		_, err = b.UpdatePublishableKey(asEve, &authv1.PublishableKey{Id: keyID, Disabled: true}, "disabled")
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
		_, err = b.PublishableKeys.DeletePublishableKey(asEve, &authv1.DeletePublishableKeyRequest{Id: keyID})
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	member := authtest.With(t.Context(), b.Join(t, b.Operator(t), adas.OrganizationID, "member@example.org", "member"))
	_, err = b.PublishableKeys.GetPublishableKey(member, &authv1.GetPublishableKeyRequest{Id: k.GetId()})
	authtest.Must(t, err)
	_, err = b.CreatePublishableKey(member, "https://evil.example.com")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.UpdatePublishableKey(member, &authv1.PublishableKey{Id: k.GetId(), Origins: []string{"https://evil.example.com"}}, "origins")
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
}
