package document_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
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
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// fixture is the room with a real queue. The queue works after start was called.
type fixture struct {
	*document.Service
	database *pgtest.Database
	db       *postgres.DB
	jobs     *jobs.Client
}

func setup(t *testing.T, embedder embed.Embedder, attempts int) fixture {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	db, clk := database.Open(t, migrations.Role), clock.System()
	indexer, err := document.NewIndexer(document.IndexerDeps{DB: db, Embedder: embedder, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	workers := jobs.NewWorkers()
	if err := indexer.Register(workers); err != nil {
		t.Fatal(err)
	}
	client, err := jobs.Open(db, jobs.Options{
		Workers: workers, Queues: map[string]int{jobs.DefaultQueue: 2}, MaxAttempts: attempts,
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := paging.NewTokens(database.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := idempotency.New(db, database.SecretKey, clk)
	if err != nil {
		t.Fatal(err)
	}
	service, err := document.New(document.Deps{DB: db, Tokens: tokens, Trail: audit.NewTrail(clk), Jobs: client, Answers: answers, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	return fixture{service, database, db, client}
}

// start starts the queue, until the test ends.
func (f fixture) start(t *testing.T) {
	t.Helper()
	if err := f.jobs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := f.jobs.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
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

func (f fixture) collection(t *testing.T, ctx context.Context) string {
	t.Helper()
	collectionID := id.New()
	f.database.AdminExec(t, `INSERT INTO chat.collections (organization_id, id, display_name, created_at, updated_at)
		VALUES ($1, $2, 'Manuals', now(), now())`, organization(ctx), collectionID)
	return collectionID
}

func (f fixture) create(t *testing.T, ctx context.Context, collectionID, contentType, content string) *knowledgev1.Document {
	t.Helper()
	d, err := f.CreateDocument(ctx, &knowledgev1.CreateDocumentRequest{
		CollectionId: collectionID, Title: "Handbook", ContentType: contentType, Content: content,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (f fixture) get(t *testing.T, ctx context.Context, documentID string) *knowledgev1.Document {
	t.Helper()
	d, err := f.GetDocument(ctx, &knowledgev1.GetDocumentRequest{Id: documentID})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// settled waits until the document is READY or FAILED.
func (f fixture) settled(t *testing.T, ctx context.Context, documentID string) *knowledgev1.Document {
	t.Helper()
	var d *knowledgev1.Document
	eventually(t, func() bool {
		d = f.get(t, ctx, documentID)
		return d.GetState() == knowledgev1.Document_READY || d.GetState() == knowledgev1.Document_FAILED
	})
	return d
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !condition() {
		if err := clock.Sleep(deadline, clock.System(), 10*time.Millisecond); err != nil {
			t.Fatalf("the condition was not met in time: %v", err)
		}
	}
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}
