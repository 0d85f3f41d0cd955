package sampleitem_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/template/sampleitem"
)

func TestApply_Mask_ChangesOnlyItsFields(t *testing.T) {
	t.Parallel()
	before := sampleitem.SampleItem{DisplayName: "First", Description: "old"}
	after, err := before.Apply(sampleitem.SampleItem{DisplayName: "ignored", Description: "new"}, []string{"description"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (sampleitem.SampleItem{DisplayName: "First", Description: "new"}); after != want {
		t.Errorf("Apply returned %+v, want %+v", after, want)
	}
}

func TestApply_BadInput_NamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, path, field string
	}{
		{"a field that clients may not set", "id", "updateMask"},
		{"an unknown field", "bogus", "updateMask"},
		{"an empty name", "display_name", "sampleItem.displayName"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := sampleitem.SampleItem{DisplayName: "First"}.Apply(sampleitem.SampleItem{}, []string{tc.path})
			violations := fault.From(err).Violations()
			if len(violations) != 1 || violations[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", violations, tc.field)
			}
		})
	}
}
