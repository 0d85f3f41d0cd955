package patch_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
)

type note struct {
	ID, Title string
	Weight    *float64
	Tags      []string
	Hidden    bool
}

func fields() patch.Fields[note] {
	return patch.Fields[note]{
		"title":  patch.At(func(n *note) *string { return &n.Title }),
		"weight": patch.At(func(n *note) **float64 { return &n.Weight }),
		"tags":   patch.At(func(n *note) *[]string { return &n.Tags }),
		"hidden": patch.At(func(n *note) *bool { return &n.Hidden }),
	}
}

func TestApply_ChangesOnlyTheFieldsOfTheMask(t *testing.T) {
	t.Parallel()
	before := note{ID: "1", Title: "old", Tags: []string{"a"}, Hidden: true}
	after, err := fields().Apply(before, note{ID: "2", Title: "new", Tags: []string{"b"}}, []string{"tags", "hidden", "tags"})
	want := note{ID: "1", Title: "old", Tags: []string{"b"}}
	if err != nil || !reflect.DeepEqual(after, want) {
		t.Errorf("%+v, %v, want %+v", after, err, want)
	}
	if before.Tags[0] != "a" || !before.Hidden {
		t.Errorf("Apply changed its argument: %+v", before)
	}
	for _, path := range []string{"id", "bogus", "Title", ""} {
		_, err := fields().Apply(before, note{}, []string{"title", path})
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "updateMask" {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestMask_NoneGiven_ContainsTheSetFields(t *testing.T) {
	t.Parallel()
	weight := 0.0
	for name, tc := range map[string]struct {
		patch       note
		given, want []string
	}{
		"given":         {note{Title: "x"}, []string{"tags"}, []string{"tags"}},
		"filled":        {note{ID: "1", Title: "x", Hidden: true}, nil, []string{"hidden", "title"}},
		"a given zero":  {note{Weight: &weight}, nil, []string{"weight"}},
		"an empty list": {note{Tags: []string{}}, nil, nil},
	} {
		if got := fields().Mask(tc.patch, tc.given); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestChanges_ContainOnlyFieldsThatDiffer(t *testing.T) {
	t.Parallel()
	one, again, two := 1.0, 1.0, 2.0
	for name, tc := range map[string]struct {
		before, after note
		want          map[string]audit.Change
	}{
		"nothing":          {note{Title: "x", Weight: &one, Tags: []string{"a"}}, note{ID: "2", Title: "x", Weight: &again, Tags: []string{"a"}}, map[string]audit.Change{}},
		"a text":           {note{Title: "x"}, note{Title: "y"}, map[string]audit.Change{"title": {Before: "x", After: "y"}}},
		"behind a pointer": {note{Weight: &one}, note{Weight: &two}, map[string]audit.Change{"weight": {Before: &one, After: &two}}},
		"an order":         {note{Tags: []string{"a", "b"}}, note{Tags: []string{"b", "a"}}, map[string]audit.Change{"tags": {Before: []string{"a", "b"}, After: []string{"b", "a"}}}},
		"lists of none":    {note{Tags: []string{}}, note{}, map[string]audit.Change{}},
		"emptied":          {note{Tags: []string{"a"}, Hidden: true}, note{Tags: []string{}}, map[string]audit.Change{"tags": {Before: []string{"a"}, After: []string{}}, "hidden": {Before: true, After: false}}},
	} {
		if got := fields().Changes(tc.before, tc.after); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
