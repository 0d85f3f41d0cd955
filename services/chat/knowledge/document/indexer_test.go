package document_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// gate is an embedder that blocks until the test opens it, or fails.
type gate struct {
	*embed.Hash
	entered chan struct{}
	open    chan struct{}
	err     error
}

func (g *gate) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if g.err != nil {
		return nil, g.err
	}
	select {
	case g.entered <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Hash.Embed(ctx, texts)
}

func newGate() *gate {
	return &gate{Hash: embed.NewHash(), entered: make(chan struct{}), open: make(chan struct{})}
}

// long returns a Markdown text with more chunks than are embedded at once.
func long() string { return strings.Repeat("## Section\n\nA sentence about pumps.\n\n", 100) }

func (f fixture) chunks(t *testing.T, ctx context.Context, documentID string) int {
	t.Helper()
	n, err := postgres.QueryOne(ctx, f.db, postgres.Scope{OrganizationID: organization(ctx)}, pgx.RowTo[int],
		"SELECT count(*)::int FROM chunks WHERE document_id = $1", documentID)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// jobsDone reports whether a number of jobs have ended in a state.
func (f fixture) jobsDone(t *testing.T, count int, state string) bool {
	t.Helper()
	n, err := postgres.QueryOne(t.Context(), f.db, postgres.Scope{}, pgx.RowTo[int],
		"SELECT count(*)::int FROM "+postgres.JobsSchema(f.db.Role())+".river_job WHERE state::text = $1", state)
	if err != nil {
		t.Fatal(err)
	}
	return n == count
}

func TestIndex_ShowsProgressAndStoresAllAtOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	f, ctx := setup(t, g, 0), member(t)
	d := f.create(t, ctx, f.collection(t, ctx), "text/markdown", long())
	if d.GetState() != knowledgev1.Document_PENDING || d.GetSizeBytes() != int64(len(long())) {
		t.Errorf("stored as %v", d)
	}
	_, err := f.GetDocumentContent(ctx, &knowledgev1.GetDocumentContentRequest{Id: d.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)

	f.start(t)
	<-g.entered
	first := f.get(t, ctx, d.GetId())
	g.open <- struct{}{}
	<-g.entered
	second := f.get(t, ctx, d.GetId())
	if first.GetState() != knowledgev1.Document_PROCESSING || second.GetProgress() <= first.GetProgress() || first.GetEtag() == second.GetEtag() {
		t.Errorf("first %v, then %v", first, second)
	}
	if n := f.chunks(t, ctx, d.GetId()); n != 0 {
		t.Errorf("%d chunks can be found before the document is READY", n)
	}
	g.open <- struct{}{}

	ready := f.settled(t, ctx, d.GetId())
	if ready.GetState() != knowledgev1.Document_READY || ready.GetProgress() != 1 || ready.GetFailure() != nil {
		t.Errorf("ended as %v", ready)
	}
	body, err := f.GetDocumentContent(ctx, &knowledgev1.GetDocumentContentRequest{Id: d.GetId()})
	if err != nil || string(body.GetData()) != long() || body.GetContentType() != "text/plain; charset=utf-8" {
		t.Errorf("content %q, %v", body, err)
	}
}

func TestS60UnreadableDocumentsFailWithTheirReason(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	f.start(t)
	collectionID := f.collection(t, ctx)
	for want, bad := range map[string]struct{ contentType, content string }{
		"DOCUMENT_EMPTY":            {"text/plain", " \n"},
		"DOCUMENT_BINARY":           {"text/plain", "PK\x00\x01\x02"},
		"DOCUMENT_UNSUPPORTED_TYPE": {"image/png", "pixels"},
		"DOCUMENT_TOO_LARGE":        {"text/plain", strings.Repeat("word ", 2<<20)},
	} {
		d := f.create(t, ctx, collectionID, bad.contentType, bad.content)
		got := f.settled(t, ctx, d.GetId())
		if got.GetState() != knowledgev1.Document_FAILED || got.GetFailure().GetReason() != want || got.GetFailure().GetMessage() == "" {
			t.Errorf("want %s, ended as %v", want, got)
		}
	}
	eventually(t, func() bool { return f.jobsDone(t, 4, "completed") })
}

// A fault for which the queue would give up at once must not leave the document PROCESSING
// forever.
func TestIndex_NoAttemptIsLeft_DocumentFails(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.err = fault.Invalid("input", "the endpoint does not like it")
	f, ctx := setup(t, g, 1), member(t)
	d := f.create(t, ctx, f.collection(t, ctx), "text/plain", "A sentence.")
	f.start(t)
	got := f.settled(t, ctx, d.GetId())
	if got.GetFailure().GetReason() != "DOCUMENT_INDEXING_FAILED" || strings.Contains(got.GetFailure().GetMessage(), "endpoint") {
		t.Errorf("ended as %v", got)
	}
	eventually(t, func() bool { return f.jobsDone(t, 1, "discarded") })
}

func TestIndex_TwoJobsAtOnce_StoreTheChunksOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	f, ctx := setup(t, g, 0), member(t)
	d := f.create(t, ctx, f.collection(t, ctx), "text/plain", "A sentence about pumps.")
	scope := postgres.Scope{OrganizationID: organization(ctx)}
	again := document.Index{Tenant: jobs.Tenant{OrganizationID: scope.OrganizationID}, DocumentID: d.GetId()}
	err := f.db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
		return f.jobs.Insert(ctx, tx, again, jobs.InsertOptions{})
	})
	if err != nil {
		t.Fatal(err)
	}
	f.start(t)
	// Both jobs embed before either ends.
	<-g.entered
	<-g.entered
	close(g.open)
	eventually(t, func() bool { return f.jobsDone(t, 2, "completed") })
	if got, n := f.get(t, ctx, d.GetId()), f.chunks(t, ctx, d.GetId()); got.GetState() != knowledgev1.Document_READY || n != 1 {
		t.Errorf("%v with %d chunks", got, n)
	}
}

func TestIndex_DocumentIsDeleted_LeavesNothing(t *testing.T) {
	t.Parallel()
	g := newGate()
	f, ctx := setup(t, g, 0), member(t)
	collectionID := f.collection(t, ctx)
	remove := func(documentID string) {
		t.Helper()
		if _, err := f.DeleteDocument(ctx, &knowledgev1.DeleteDocumentRequest{Id: documentID}); err != nil {
			t.Fatal(err)
		}
	}
	before := f.create(t, ctx, collectionID, "text/plain", "A sentence.")
	remove(before.GetId())
	during := f.create(t, ctx, collectionID, "text/plain", "Another sentence.")
	f.start(t)
	<-g.entered
	remove(during.GetId())
	close(g.open)
	eventually(t, func() bool { return f.jobsDone(t, 2, "completed") })
	for _, documentID := range []string{before.GetId(), during.GetId()} {
		if n := f.chunks(t, ctx, documentID); n != 0 {
			t.Errorf("%d chunks", n)
		}
		_, err := f.GetDocument(ctx, &knowledgev1.GetDocumentRequest{Id: documentID})
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
}
