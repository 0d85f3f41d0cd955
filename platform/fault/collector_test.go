package fault_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// S82: after the limit a violation is only counted and allocates nothing, so its
// cost does not grow with the number of violations.
//
//nolint:paralleltest // allocations are counted
func TestS82CollectorListsSomeAndCountsAll(t *testing.T) {
	var broken fault.Collector
	if broken.Fault() != nil {
		t.Error("an empty collector returns a fault")
	}
	for n := range 16_000 {
		broken.Add("ids["+strconv.Itoa(n)+"]", "must be an id")
	}
	f := broken.Fault()
	if broken.Total() != 16_000 || len(f.Violations()) != fault.MaxViolations || f.Violations()[19].Field != "ids[19]" {
		t.Errorf("%d of %d: %v", len(f.Violations()), broken.Total(), f.Violations())
	}
	if f.Detail() != "ids[0]: must be an id (the first of 16000 violations, of which 20 are listed)" {
		t.Errorf("detail %q", f.Detail())
	}
	if n := testing.AllocsPerRun(1000, func() { broken.Add("ids", "must be an id") }); n != 0 {
		t.Errorf("one more violation allocates %v times", n)
	}
}

func TestCollector_OneOrTwoViolations_AreInTheDetail(t *testing.T) {
	t.Parallel()
	var broken fault.Collector
	broken.Add("title", "must not be empty")
	if got := broken.Fault().Detail(); got != "title: must not be empty" {
		t.Errorf("%q", got)
	}
	broken.Add(strings.Repeat("é", 1000), "unknown field")
	f := broken.Fault()
	if f.Detail() != "title: must not be empty (the first of 2 violations)" {
		t.Errorf("%q", f.Detail())
	}
	if name := f.Violations()[1].Field; len(name) > 300 || !strings.HasSuffix(name, "…") || strings.ContainsRune(name, '\uFFFD') {
		t.Errorf("a long name from a client is not shortened: %q", name)
	}
	below := f.Below("nothing").Detail()
	if below != f.Detail() {
		t.Errorf("%q", below)
	}
}
