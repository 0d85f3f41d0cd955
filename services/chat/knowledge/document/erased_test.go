package document_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// S78: a job whose organization is erased ends, and stores nothing.
func TestS78JobOfAnErasedOrganizationStoresNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, embed.NewHash(), 3)
	ctx, other := member(t), member(t)
	f.create(t, ctx, f.collection(t, ctx), "text/plain", "It lasts three years.")
	kept := f.create(t, other, f.collection(t, other), "text/plain", "It lasts four years.")
	if err := f.rooms(t).Erase(f.db)(t.Context(), erasure.Erasure{OrganizationID: organization(ctx)}); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	f.settled(t, other, kept.GetId())
	eventually(t, func() bool {
		n, err := postgres.QueryOne(t.Context(), f.db, postgres.Scope{}, pgx.RowTo[int],
			"SELECT count(*) FROM jobs_chat.river_job WHERE kind = 'index_document' AND state = 'completed'")
		if err != nil {
			t.Fatal(err)
		}
		return n == 2
	})
	for table, want := range map[string]int{"collections": 1, "documents": 1, "document_sources": 1, "document_texts": 1, "chunks": 1} {
		for organizationID, want := range map[string]int{organization(ctx): 0, organization(other): want} {
			n, err := postgres.QueryOne(t.Context(), f.db, postgres.Scope{OrganizationID: organizationID}, pgx.RowTo[int], "SELECT count(*) FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			if n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
	}
}

// rooms returns the rooms of documents and collections.
func (f fixture) rooms(t *testing.T) room.List {
	t.Helper()
	tokens, err := paging.NewTokens(f.database.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	rights, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	collections, err := collection.New(collection.Deps{
		DB: f.db, Tokens: tokens, Trail: audit.NewTrail(clock.System()), Rights: rights, Clock: clock.System(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return room.List{collections, f.Service}
}
