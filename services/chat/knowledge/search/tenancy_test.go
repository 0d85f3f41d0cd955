package search_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

func TestS71SearchStaysInItsCollections(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	first, second := f.index(t, ctx, "Handbook", handbook), f.index(t, ctx, "Copy", handbook)
	for _, r := range f.find(t, ctx, "warranty", second.GetCollectionId()) {
		if r.GetDocumentId() != second.GetId() {
			t.Errorf("found %v", r)
		}
	}
	found := map[string]bool{}
	for _, r := range f.find(t, ctx, "warranty") {
		found[r.GetDocumentId()] = true
	}
	if !found[first.GetId()] || !found[second.GetId()] {
		t.Errorf("all collections have %v", found)
	}
}

func TestS71SearchFindsNoDocumentsOfOthers(t *testing.T) {
	t.Parallel()
	f, owner, other := setup(t), member(t), member(t)
	d := f.index(t, owner, "Handbook", handbook)
	f.index(t, other, "Menu", "Soup of the day is pumpkin.")
	for _, r := range f.find(t, other, "warranty of compressors") {
		if r.GetDocumentId() == d.GetId() {
			t.Errorf("found another organization's %v", r)
		}
	}
	searchIn := func(collection string) error {
		_, err := f.search.Search(other, &knowledgev1.SearchRequest{Query: "x", CollectionIds: []string{collection}})
		return err
	}
	foreign, absent := searchIn(d.GetCollectionId()), searchIn(id.New())
	if !fault.Is(foreign, faultv1.Reason_REASON_NOT_FOUND) || absent == nil || foreign.Error() != absent.Error() {
		t.Errorf("foreign %v, absent %v", foreign, absent)
	}
	passages, err := f.search.Searcher().Search(other,
		tool.Caller{OrganizationID: organization(other), CollectionIDs: []string{d.GetCollectionId()}}, "warranty", 5)
	if err != nil || len(passages) != 0 {
		t.Errorf("the tool found %v, %v", passages, err)
	}
}

// S50: row level security works without the conditions of the stores. A query without
// conditions finds the rows of one organization only, and no rows without an organization.
func TestS50RowLevelSecurityHoldsAlone(t *testing.T) {
	t.Parallel()
	f, owner, other := setup(t), member(t), member(t)
	f.index(t, owner, "Handbook", handbook)
	tables := []string{"collections", "documents", "document_sources", "document_texts", "chunks"}
	for _, table := range tables {
		for scope, want := range map[postgres.Scope]bool{
			{OrganizationID: organization(owner)}: true, {OrganizationID: organization(other)}: false, {}: false,
		} {
			got, err := postgres.QueryOne(t.Context(), f.db, scope, pgx.RowTo[bool], "SELECT EXISTS (SELECT FROM "+table+")")
			if err != nil || got != want {
				t.Errorf("%s of %v: rows %v, %v", table, scope, got, err)
			}
		}
	}
	direction := make([]float32, migrations.Dimensions)
	direction[0] = 1
	for scope, want := range map[postgres.Scope]bool{
		{OrganizationID: organization(owner)}: true, {OrganizationID: organization(other)}: false, {}: false,
	} {
		got, err := postgres.QueryOne(t.Context(), f.db, scope, pgx.RowTo[bool],
			"SELECT EXISTS (SELECT FROM search_chunks('warranty', $1::real[]::vector, $2, '{}', 10))", direction, embed.NewHash().Version())
		if err != nil || got != want {
			t.Errorf("search of %v: rows %v, %v", scope, got, err)
		}
	}
}
