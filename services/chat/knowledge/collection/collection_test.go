package collection_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
)

func TestCollection_Apply_ChangesOnlyTheMask(t *testing.T) {
	t.Parallel()
	before := collection.Collection{DisplayName: "Manuals", Description: "old"}
	for _, tc := range []struct {
		name              string
		patch             collection.Collection
		mask              []string
		field             string
		displayName, text string
	}{
		{"takes only the fields of the mask", collection.Collection{DisplayName: "ignored", Description: "new"}, []string{"description"}, "", "Manuals", "new"},
		{"clears a field of the mask", collection.Collection{}, []string{"description"}, "", "Manuals", ""},
		{"refuses a field that clients may not change", collection.Collection{}, []string{"document_count"}, "updateMask", "", ""},
		{"refuses an empty name", collection.Collection{DisplayName: " "}, []string{"display_name"}, "collection.displayName", "", ""},
		{"refuses NUL", collection.Collection{Description: "a\x00b"}, []string{"description"}, "collection.description", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			after, err := before.Apply(tc.patch, tc.mask)
			if tc.field != "" {
				if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
					t.Fatalf("violations %v, want one on %s", v, tc.field)
				}
				return
			}
			if err != nil || after.DisplayName != tc.displayName || after.Description != tc.text {
				t.Errorf("applied as %+v, %v", after, err)
			}
		})
	}
}

func TestCheckDelete_DocumentsNeedForce(t *testing.T) {
	t.Parallel()
	if err := collection.CheckDelete(1, false); !fault.Is(err, faultv1.Reason_REASON_NOT_EMPTY) {
		t.Errorf("with a document: %v", err)
	}
	for documents, force := range map[int64]bool{0: false, 3: true} {
		if err := collection.CheckDelete(documents, force); err != nil {
			t.Errorf("%d documents, force %v: %v", documents, force, err)
		}
	}
}
