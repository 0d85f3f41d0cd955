package document_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

func TestCreateDocument_ReturnsWhatIsReadLater(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	d := f.create(t, ctx, f.collection(t, ctx), "", "Text.")
	if got := f.get(t, ctx, d.GetId()); !proto.Equal(got, d) || d.GetContentType() != "text/plain" {
		t.Errorf("read %v, created %v", got, d)
	}
	_, err := f.CreateDocument(ctx, &knowledgev1.CreateDocumentRequest{CollectionId: d.GetCollectionId(), Title: " "})
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "title" {
		t.Errorf("without a title: %v", err)
	}
	_, err = f.GetDocument(t.Context(), &knowledgev1.GetDocumentRequest{Id: d.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}

func TestListDocuments_Pages_HaveAllOfTheCollection(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	collectionID := f.collection(t, ctx)
	want := map[string]bool{}
	for range 3 {
		want[f.create(t, ctx, collectionID, "", "Text.").GetId()] = true
	}
	f.create(t, ctx, f.collection(t, ctx), "", "Elsewhere.")
	req := &knowledgev1.ListDocumentsRequest{CollectionId: collectionID, PageSize: 2, Filter: `state = "PENDING"`}
	for {
		page, err := f.ListDocuments(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDocuments() {
			if !want[d.GetId()] {
				t.Errorf("listed %v twice, or from another collection", d)
			}
			delete(want, d.GetId())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
}

// Documents and collections of another organization must look exactly like absent ones.
func TestS41DocumentsOfOthersAreAbsent(t *testing.T) {
	t.Parallel()
	f, owner, other := setup(t, embed.NewHash(), 0), member(t), member(t)
	d := f.create(t, owner, f.collection(t, owner), "", "Secret.")
	for name, tc := range map[string]struct {
		id   string
		call func(id string) error
	}{
		"create": {d.GetCollectionId(), func(id string) error {
			_, err := f.CreateDocument(other, &knowledgev1.CreateDocumentRequest{CollectionId: id, Title: "x"})
			return err
		}},
		"list": {d.GetCollectionId(), func(id string) error {
			_, err := f.ListDocuments(other, &knowledgev1.ListDocumentsRequest{CollectionId: id})
			return err
		}},
		"get": {d.GetId(), func(id string) error {
			_, err := f.GetDocument(other, &knowledgev1.GetDocumentRequest{Id: id})
			return err
		}},
		"content": {d.GetId(), func(id string) error {
			_, err := f.GetDocumentContent(other, &knowledgev1.GetDocumentContentRequest{Id: id})
			return err
		}},
		"delete": {d.GetId(), func(id string) error {
			_, err := f.DeleteDocument(other, &knowledgev1.DeleteDocumentRequest{Id: id})
			return err
		}},
	} {
		foreign, absent := tc.call(tc.id), tc.call(id.New())
		wantReason(t, foreign, faultv1.Reason_REASON_NOT_FOUND)
		if foreign == nil || absent == nil || fault.From(foreign).Detail() != fault.From(absent).Detail() {
			t.Errorf("%s: foreign %v, absent %v", name, foreign, absent)
		}
	}
}

func TestDocuments_CreatedAndDeleted_AreAudited(t *testing.T) {
	t.Parallel()
	f, ctx := setup(t, embed.NewHash(), 0), member(t)
	d := f.create(t, ctx, f.collection(t, ctx), "", "Text.")
	if _, err := f.DeleteDocument(ctx, &knowledgev1.DeleteDocumentRequest{Id: d.GetId()}); err != nil {
		t.Fatal(err)
	}
	// The query divides by zero unless exactly these actions were recorded.
	f.database.AdminExec(t, `SELECT 1 / (array_agg(action ORDER BY id) =
		ARRAY['knowledge.document.created', 'knowledge.document.deleted'])::int FROM audit.events WHERE resource_id = $1`, d.GetId())
}
