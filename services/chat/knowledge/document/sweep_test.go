package document_test

import (
	"context"
	"testing"

	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
)

// A document whose job is lost fails after a day. A document that waits for a shorter time
// and one that is READY do not change.
func TestSweep_DocumentsAreAbandoned_Fail(t *testing.T) {
	t.Parallel()
	f, owner := setup(t, embed.NewHash(), 1), member(t)
	collectionID := f.collection(t, owner)
	states := map[string]string{}
	for _, state := range []string{"PENDING", "PROCESSING", "READY", "waiting"} {
		d := f.create(t, owner, collectionID, "text/plain", "Some text.")
		states[state] = d.GetId()
		if state != "waiting" {
			f.database.AdminExec(t, "UPDATE chat.documents SET state = $2, updated_at = now() - interval '25 hours' WHERE id = $1", d.GetId(), state)
		}
	}
	f.database.AdminExec(t, "DELETE FROM jobs_chat.river_job")
	err := f.db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		return f.jobs.Insert(ctx, tx, document.Sweep{}, jobs.InsertOptions{})
	})
	if err != nil {
		t.Fatal(err)
	}
	f.start(t)
	for _, state := range []string{"PENDING", "PROCESSING"} {
		d := f.settled(t, owner, states[state])
		if d.GetState() != knowledgev1.Document_FAILED || d.GetFailure().GetReason() != "DOCUMENT_INDEXING_FAILED" || d.GetFailure().GetMessage() == "" {
			t.Errorf("%s became %v, %v", state, d.GetState(), d.GetFailure())
		}
	}
	for state, want := range map[string]knowledgev1.Document_State{"READY": knowledgev1.Document_READY, "waiting": knowledgev1.Document_PENDING} {
		if d := f.get(t, owner, states[state]); d.GetState() != want {
			t.Errorf("%s became %v", state, d.GetState())
		}
	}
}
