package document_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// S89: a text that is too long is refused while it arrives. The service ends the call
// before the client does.
func TestS89LongTextsAreRefusedWhileTheyArrive(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	client, collectionID := f.dial(t, ctx), f.collection(t, ctx)
	stream, err := client.UploadDocument(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(header(collectionID, "a.md"))
	for n := 0; err == nil; n++ {
		if n > 100 {
			t.Fatal("100 MiB of text were accepted")
		}
		err = stream.Send(chunk(make([]byte, 1<<20)))
	}
	if err := stream.RecvMsg(&knowledgev1.Document{}); fromStatus(t, err) != faultv1.Reason_REASON_DOCUMENT_TOO_LARGE {
		t.Errorf("%v", err)
	}
}

// S89: a large document is stored and read in pieces, and is complete afterwards.
func TestS89LargeDocumentsStayComplete(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	f.start(t)
	client, collectionID := f.dial(t, ctx), f.collection(t, ctx)
	page := append([]byte("<title>T</title><p>The first words.</p>"), bytes.Repeat([]byte("<!-- é é é é -->"), 1<<20)...)
	page = append(page, "<p>The last words.</p>"...)
	parts := []*knowledgev1.UploadDocumentRequest{header(collectionID, "large.html")}
	for rest := page; len(rest) > 0; rest = rest[min(len(rest), 1<<20):] {
		parts = append(parts, chunk(rest[:min(len(rest), 1<<20)]))
	}
	d, err := upload(t, client, parts...)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.settled(t, ctx, d.GetId()); got.GetState() != knowledgev1.Document_READY || got.GetSizeBytes() != int64(len(page)) {
		t.Errorf("ended as %v", got)
	}
	body, err := f.GetDocumentContent(ctx, &knowledgev1.GetDocumentContentRequest{Id: d.GetId()})
	if err != nil || string(body.GetData()) != "The first words.\n\nThe last words." {
		t.Errorf("content %q, %v", body.GetData(), err)
	}
	stored, err := postgres.QueryOne(ctx, f.db, postgres.Scope{OrganizationID: organization(ctx)}, pgx.RowTo[[]byte],
		"SELECT content FROM document_sources WHERE document_id = $1", d.GetId())
	if err != nil || !bytes.Equal(stored, page) {
		t.Errorf("the stored bytes differ from those that were sent: %d, %v", len(stored), err)
	}
}
