package id_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/id"
)

func TestNew_ReturnsValidUniqueOrderedIDs(t *testing.T) {
	t.Parallel()
	previous := ""
	for _, next := range append(id.NewEach(5_000), id.New()) {
		if !id.Valid(next) {
			t.Fatalf("New() = %q, which is not valid", next)
		}
		if next <= previous {
			t.Fatalf("New() = %q after %q: ids of one process must ascend", next, previous)
		}
		previous = next
	}
}

func TestValid_OnlyTheCanonicalForm_IsValid(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f":          true,
		"01932C07-3B5A-7D21-8F6B-0C9A4E5D1B2F":          false,
		"01932c073b5a7d218f6b0c9a4e5d1b2f":              false,
		"{01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f}":        false,
		"urn:uuid:01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f": false,
		"":                                     false,
		"01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2g": false,
	} {
		if got := id.Valid(in); got != want {
			t.Errorf("Valid(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestDistinct_UpperAndLowerCase_AreTheSameID(t *testing.T) {
	t.Parallel()
	a, b := id.New(), id.New()
	if got := id.Distinct([]string{b, strings.ToUpper(a), a, b}); !slices.Equal(got, []string{b, a}) {
		t.Errorf("got %v, want %v", got, []string{b, a})
	}
	if id.Distinct(nil) == nil {
		t.Error("Distinct returns nil for no ids")
	}
}
