package collection_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// S92, S84: a service learns which collections exist only on behalf of a user who may
// read them, and only in that user's organization.
func TestS92CheckCollectionsHasTheRightsOfTheCaller(t *testing.T) {
	t.Parallel()
	f := setup(t)
	as := func(organizationID string, scopes ...string) context.Context {
		return identity.NewContext(t.Context(), &identity.Principal{
			OrganizationID: organizationID, UserID: id.New(), ClientID: identity.APIKey, Roles: []string{"owner"}, Scopes: scopes,
		})
	}
	own, foreign, absent := id.New(), id.New(), id.New()
	collections := map[string]string{}
	for _, organizationID := range []string{own, foreign} {
		made, err := f.CreateCollection(as(organizationID, "knowledge.write"), &knowledgev1.CreateCollectionRequest{
			Collection: &knowledgev1.Collection{DisplayName: "Handbook"},
		})
		if err != nil {
			t.Fatal(err)
		}
		collections[organizationID] = made.GetId()
	}
	req := &knowledgev1.CheckCollectionsRequest{CollectionIds: []string{strings.ToUpper(collections[own]), absent, collections[foreign], absent}}
	out, err := f.CheckCollections(as(own, "knowledge.read"), req)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{absent, collections[foreign]}; !slices.Equal(out.GetMissingCollectionIds(), want) {
		t.Errorf("missing are %v, want %v", out.GetMissingCollectionIds(), want)
	}
	if _, err := f.CheckCollections(as(own, "assistants.write"), req); !fault.Is(err, faultv1.Reason_REASON_INSUFFICIENT_SCOPE) {
		t.Errorf("without the scope: %v", err)
	}
	if _, err := f.CheckCollections(t.Context(), req); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("without a user: %v", err)
	}
}
