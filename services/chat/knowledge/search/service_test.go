package search_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/search"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

const handbook = `# Handbook

## Refunds

Kunden — customers — may return a pump within 30 days. The refund takes five working days. 💶

## Warranty

Compressors carry a warranty of three years, valves of one.
`

type fixture struct {
	db          *postgres.DB
	database    *pgtest.Database
	collections *collection.Service
	documents   *document.Service
	search      *search.Service
}

func must[T any](t *testing.T) func(T, error) T { //nolint:thelper // the returned function is the helper
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func setup(t *testing.T) fixture {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	return setupOn(t, database, database.Open(t, migrations.Role))
}

func setupOn(t *testing.T, database *pgtest.Database, db *postgres.DB) fixture {
	t.Helper()
	clk, embedder := clock.System(), embed.NewHash()
	tokens, trail := must[*paging.Tokens](t)(paging.NewTokens(database.SecretKey)), audit.NewTrail(clk)
	workers := jobs.NewWorkers()
	indexer := must[*document.Indexer](t)(document.NewIndexer(document.IndexerDeps{DB: db, Embedder: embedder, Clock: clk}))
	if err := indexer.Register(workers); err != nil {
		t.Fatal(err)
	}
	client := must[*jobs.Client](t)(jobs.Open(db, jobs.Options{Workers: workers, Queues: map[string]int{jobs.DefaultQueue: 2}}))
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return fixture{
		db:          db,
		database:    database,
		collections: must[*collection.Service](t)(collection.New(collection.Deps{DB: db, Tokens: tokens, Trail: trail, Rights: must[*authz.Authorizer](t)(authz.New()), Clock: clk})),
		documents:   must[*document.Service](t)(document.New(document.Deps{DB: db, Tokens: tokens, Trail: trail, Jobs: client, Answers: must[*idempotency.Keys](t)(idempotency.New(db, database.SecretKey, clk)), Clock: clk})),
		search:      must[*search.Service](t)(search.New(search.Deps{DB: db, Embedder: embedder})),
	}
}

// member returns the context of a user in a new organization.
func member(t *testing.T) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), &identity.Principal{UserID: id.New(), OrganizationID: id.New()})
}

func organization(ctx context.Context) string {
	p, _ := identity.FromContext(ctx)
	return p.OrganizationID
}

// index creates a document in a new collection and waits until it is READY.
func (f fixture) index(t *testing.T, ctx context.Context, title, text string) *knowledgev1.Document {
	t.Helper()
	c := must[*knowledgev1.Collection](t)(f.collections.CreateCollection(ctx, &knowledgev1.CreateCollectionRequest{
		Collection: &knowledgev1.Collection{DisplayName: title},
	}))
	d := must[*knowledgev1.Document](t)(f.documents.CreateDocument(ctx, &knowledgev1.CreateDocumentRequest{
		CollectionId: c.GetId(), Title: title, Content: text, ContentType: "text/markdown",
	}))
	deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		d = must[*knowledgev1.Document](t)(f.documents.GetDocument(deadline, &knowledgev1.GetDocumentRequest{Id: d.GetId()}))
		switch d.GetState() {
		case knowledgev1.Document_READY:
			return d
		case knowledgev1.Document_FAILED:
			t.Fatalf("failed: %v", d.GetFailure())
		default:
		}
		if err := clock.Sleep(deadline, clock.System(), 10*time.Millisecond); err != nil {
			t.Fatalf("still %v: %v", d.GetState(), err)
		}
	}
}

func (f fixture) find(t *testing.T, ctx context.Context, query string, within ...string) []*knowledgev1.SearchResult {
	t.Helper()
	return must[*knowledgev1.SearchResponse](t)(f.search.Search(ctx, &knowledgev1.SearchRequest{Query: query, CollectionIds: within})).GetResults()
}

func TestSearch_ChunksAreVerbatimAndRanked(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	d := f.index(t, ctx, "Handbook", handbook)
	content := []rune(string(must[interface{ GetData() []byte }](t)(
		f.documents.GetDocumentContent(ctx, &knowledgev1.GetDocumentContentRequest{Id: d.GetId()})).GetData()))
	for query, want := range map[string]string{
		"warranty compressors":                         "three years",
		"How many days until I get my refund, please?": "five working days",
		"compresor waranty":                            "three years",
		"💶":                                            "",
	} {
		results := f.find(t, ctx, query)
		if want != "" && (len(results) == 0 || !strings.Contains(results[0].GetText(), want)) {
			t.Errorf("%q found %v, want %q first", query, results, want)
		}
		for i, r := range results {
			if got := string(content[r.GetStartOffset():r.GetEndOffset()]); got != r.GetText() {
				t.Errorf("%q: the offsets contain %q, the chunk is %q", query, got, r.GetText())
			}
			if r.GetDocumentId() != d.GetId() || r.GetTitle() != "Handbook" || r.GetVectorRank()+r.GetTextRank() == 0 {
				t.Errorf("%q: result %v", query, r)
			}
			if i > 0 && r.GetScore() > results[i-1].GetScore() {
				t.Errorf("%q: result %d is better than the previous one", query, i)
			}
		}
	}
	if all := f.find(t, ctx, "warranty compressors"); all[0].GetTextRank() != 1 || all[0].GetVectorRank() != 1 {
		t.Errorf("best by both, ranked %d by vector and %d by text", all[0].GetVectorRank(), all[0].GetTextRank())
	}
}

func TestSearcher_FindsForTheEngine(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	d := f.index(t, ctx, "Handbook", handbook)
	passages, err := f.search.Searcher().Search(ctx, tool.Caller{OrganizationID: organization(ctx)}, "warranty\x00 of compressors", 1)
	if err != nil || len(passages) != 1 {
		t.Fatalf("found %v, %v", passages, err)
	}
	if p := passages[0]; p.DocumentID != d.GetId() || len([]rune(p.Text)) != p.EndOffset-p.StartOffset {
		t.Errorf("passage %+v", p)
	}
}

// An organization with more than 10,000 chunks is searched through the HNSW index. The
// search must find as many results as without the index.
func TestSearch_ManyChunks_UsesTheIndex(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	d := f.index(t, ctx, "Handbook", handbook)
	f.database.AdminExec(t, "DROP INDEX chat.chunks_embedding")
	f.database.AdminExec(t, fmt.Sprintf(`INSERT INTO chat.chunks
		(organization_id, id, collection_id, document_id, ordinal, start_offset, end_offset, text, headings, embedder, embedding)
		SELECT '%s', gen_random_uuid(), '%s', '%s', n + 1000, 0, 1, 'x', '', '%s',
			(SELECT array_agg(sin(n * 0.37 + i * n)) FROM generate_series(1, 384) i)::real[]::extensions.vector
		FROM generate_series(1, 10001) n`, organization(ctx), d.GetCollectionId(), d.GetId(), embed.NewHash().Version()))
	f.database.AdminExec(t, "CREATE INDEX chunks_embedding ON chat.chunks USING hnsw (embedding extensions.vector_cosine_ops) WITH (m = 4, ef_construction = 16)")
	f.database.AdminExec(t, "ANALYZE chat.chunks")
	deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// Postgres updates its statistics with a delay.
	for scans := int64(0); scans == 0; {
		results := f.find(t, deadline, "warranty of compressors")
		if len(results) != search.DefaultLimit || !strings.Contains(results[0].GetText(), "three years") {
			t.Fatalf("found %v", results)
		}
		scans = must[int64](t)(postgres.QueryOne(deadline, f.db, postgres.Scope{}, pgx.RowTo[int64],
			"SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'chunks_embedding'"))
		if err := clock.Sleep(deadline, clock.System(), 20*time.Millisecond); err != nil {
			t.Fatalf("the index was not used: %v", err)
		}
	}
}

func TestDeleteCollection_Forced_DeletesItsChunks(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t), member(t)
	d := f.index(t, ctx, "Handbook", handbook)
	full := must[*knowledgev1.Collection](t)(f.collections.GetCollection(ctx, &knowledgev1.GetCollectionRequest{Id: d.GetCollectionId()}))
	if full.GetDocumentCount() != 1 || full.GetChunkCount() == 0 {
		t.Errorf("counts of %v", full)
	}
	_, err := f.collections.DeleteCollection(ctx, &knowledgev1.DeleteCollectionRequest{Id: full.GetId()})
	if !fault.Is(err, faultv1.Reason_REASON_NOT_EMPTY) {
		t.Errorf("without force: %v", err)
	}
	must[*knowledgev1.DeleteCollectionResponse](t)(f.collections.DeleteCollection(ctx,
		&knowledgev1.DeleteCollectionRequest{Id: full.GetId(), Force: true}))
	if results := f.find(t, ctx, "warranty"); len(results) != 0 {
		t.Errorf("still found: %v", results)
	}
	_, err = f.documents.GetDocument(ctx, &knowledgev1.GetDocumentRequest{Id: d.GetId()})
	if !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("the document: %v", err)
	}
}

// With a pooler, parameters are sent without prepared statements. Their types follow from
// the values only.
func TestIndexAndSearch_WithAPooler_Work(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, migrations.Set())
	cfg := database.Config()
	direct, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := direct.Query()
	query.Set("application_name", "direct")
	direct.RawQuery = query.Encode()
	cfg.DirectURL = direct.String()
	f, ctx := setupOn(t, database, pgtest.OpenConfig(t, cfg, migrations.Role)), member(t)
	if !f.db.Pooled() {
		t.Fatal("the other URL does not count as that of a pooler")
	}
	d := f.index(t, ctx, "Handbook", handbook)
	if results := f.find(t, ctx, "warranty", d.GetCollectionId()); len(results) == 0 || !strings.Contains(results[0].GetText(), "three years") {
		t.Errorf("found %v", results)
	}
}
