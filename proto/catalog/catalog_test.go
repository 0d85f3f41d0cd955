package catalog_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/proto/catalog"
	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const golden = "testdata/access.golden"

// S46: an RPC without a rule fails this test.
func TestContracts_EveryRPCHasARule(t *testing.T) {
	t.Parallel()
	if err := catalog.Check(); err != nil {
		t.Fatal(err)
	}
}

// buf breaking does not detect a changed rule. The golden file shows it in review.
func TestContracts_RulesMatchGoldenFile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, m := range catalog.Methods() {
		exposure := "internal"
		if m.Public {
			exposure = "public"
		}
		fmt.Fprintf(&b, "%-70s %-8s %s", m.FullMethod, exposure, rule(m.Access))
		if m.Access.GetFirstParty() {
			b.WriteString(", only first-party")
		}
		if r := m.Access.GetResource(); r != "" {
			fmt.Fprintf(&b, " on %s", r)
		}
		b.WriteByte('\n')
	}
	for _, p := range catalog.Permissions() {
		fmt.Fprintf(&b, "permission %s: %s\n", p.GetName(), strings.Join(p.GetRoles(), " "))
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the rules changed; if that is intended, run go test ./catalog -update\n%s", b.String())
	}
}

func rule(a *optionsv1.Access) string {
	switch r := a.GetRule().(type) {
	case *optionsv1.Access_Public:
		return "anyone"
	case *optionsv1.Access_Authenticated:
		return "signed in"
	case *optionsv1.Access_Permission:
		return r.Permission
	case *optionsv1.Access_Internal:
		return "services"
	default:
		return "NOBODY STATED A RULE"
	}
}
