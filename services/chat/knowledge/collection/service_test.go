package collection_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

type fixture struct {
	*collection.Service
	database *pgtest.Database
}

func setup(t *testing.T) fixture {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	tokens, err := paging.NewTokens(database.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	rights, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	service, err := collection.New(collection.Deps{
		DB: database.Open(t, migrations.Role), Tokens: tokens, Trail: audit.NewTrail(clock.System()), Rights: rights, Clock: clock.System(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return fixture{service, database}
}

// member returns the context of a user in a new organization.
func member(t *testing.T) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), &identity.Principal{UserID: id.New(), OrganizationID: id.New()})
}

func (f fixture) create(t *testing.T, ctx context.Context, name string) *knowledgev1.Collection {
	t.Helper()
	c, err := f.CreateCollection(ctx, &knowledgev1.CreateCollectionRequest{Collection: &knowledgev1.Collection{DisplayName: name}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func TestCreateCollection_ReturnsWhatIsReadLater(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	created := f.create(t, ctx, "Manuals")
	got, err := f.GetCollection(ctx, &knowledgev1.GetCollectionRequest{Id: created.GetId()})
	if err != nil || !proto.Equal(got, created) {
		t.Errorf("read %v, created %v: %v", got, created, err)
	}
	_, err = f.CreateCollection(ctx, &knowledgev1.CreateCollectionRequest{Collection: &knowledgev1.Collection{}})
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "collection.displayName" {
		t.Errorf("without a name: %v", err)
	}
	_, err = f.GetCollection(t.Context(), &knowledgev1.GetCollectionRequest{Id: created.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

func TestUpdateCollection_EtagIsStale_IsRefused(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	c := f.create(t, ctx, "Manuals")
	update := func(ctx context.Context, name, etag string) (*knowledgev1.Collection, error) {
		return f.UpdateCollection(ctx, &knowledgev1.UpdateCollectionRequest{
			Collection: &knowledgev1.Collection{Id: c.GetId(), DisplayName: name, Etag: etag},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
		})
	}
	second, err := update(ctx, "Guides", c.GetEtag())
	if err != nil || second.GetDisplayName() != "Guides" || second.GetEtag() == c.GetEtag() {
		t.Fatalf("updated to %v, %v", second, err)
	}
	_, err = update(ctx, "Late", c.GetEtag())
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	stale := metadata.NewIncomingContext(ctx, metadata.Pairs(rpcserver.MetadataIfMatch, `"`+c.GetEtag()+`"`))
	_, err = update(stale, "Late", "")
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	if _, err = update(ctx, "Without an etag", ""); err != nil {
		t.Error(err)
	}
}

func TestListCollections_Pages_HaveAllInOrder(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	for _, name := range []string{"a", "b", "c"} {
		f.create(t, ctx, name)
	}
	req := &knowledgev1.ListCollectionsRequest{PageSize: 2, OrderBy: "displayName"}
	var names string
	for {
		page, err := f.ListCollections(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.GetCollections() {
			names += c.GetDisplayName()
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if names != "abc" {
		t.Errorf("listed %q", names)
	}
	_, err := f.ListCollections(ctx, &knowledgev1.ListCollectionsRequest{Filter: "organizationId = 1"})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
}

// A collection of another organization must look exactly like an absent one.
func TestS41CollectionsOfOthersAreAbsent(t *testing.T) {
	t.Parallel()
	f, owner, other := setup(t), member(t), member(t)
	c := f.create(t, owner, "Manuals")
	calls := map[string]func(id string) error{
		"get": func(id string) error {
			_, err := f.GetCollection(other, &knowledgev1.GetCollectionRequest{Id: id})
			return err
		},
		"update": func(id string) error {
			_, err := f.UpdateCollection(other, &knowledgev1.UpdateCollectionRequest{Collection: &knowledgev1.Collection{Id: id, DisplayName: "x"}})
			return err
		},
		"delete": func(id string) error {
			_, err := f.DeleteCollection(other, &knowledgev1.DeleteCollectionRequest{Id: id, Force: true, Etag: "stale"})
			return err
		},
	}
	for name, call := range calls {
		foreign, absent := call(c.GetId()), call(id.New())
		wantReason(t, foreign, faultv1.Reason_REASON_NOT_FOUND)
		if foreign == nil || absent == nil || foreign.Error() != absent.Error() {
			t.Errorf("%s: foreign %v, absent %v", name, foreign, absent)
		}
	}
	page, err := f.ListCollections(other, &knowledgev1.ListCollectionsRequest{})
	if err != nil || len(page.GetCollections()) != 0 {
		t.Errorf("listed %v, %v", page, err)
	}
}

func TestDeleteCollection_HasDocuments_NeedsForce(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	c := f.create(t, ctx, "Manuals")
	caller, _ := identity.FromContext(ctx)
	f.database.AdminExec(t, `INSERT INTO chat.documents
		(organization_id, id, collection_id, title, content_type, size_bytes, state, chunk_count, created_at, updated_at)
		VALUES ($1, $2, $3, 'One', 'text/plain', 1, 'READY', 4, now(), now())`, caller.OrganizationID, id.New(), c.GetId())

	got, err := f.GetCollection(ctx, &knowledgev1.GetCollectionRequest{Id: c.GetId()})
	if err != nil || got.GetDocumentCount() != 1 || got.GetChunkCount() != 4 {
		t.Errorf("counts of %v, %v", got, err)
	}
	_, err = f.DeleteCollection(ctx, &knowledgev1.DeleteCollectionRequest{Id: c.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_EMPTY)
	if _, err = f.DeleteCollection(ctx, &knowledgev1.DeleteCollectionRequest{Id: c.GetId(), Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err = f.GetCollection(ctx, &knowledgev1.GetCollectionRequest{Id: c.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	// The query divides by zero unless exactly these actions were recorded.
	f.database.AdminExec(t, `SELECT 1 / (array_agg(action ORDER BY id) =
		ARRAY['knowledge.collection.created', 'knowledge.collection.deleted'])::int FROM audit.events WHERE organization_id = $1`, caller.OrganizationID)
}
