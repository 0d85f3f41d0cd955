package line_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"

	"github.com/gatehouse/gatehouse/platform/line"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// S88: the contracts refuse a name exactly when Clean would change it, and accept the
// result of Clean.
func TestS88NamesAreOneLineOfText(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, clean := range map[string]string{
		"": "", "Ada's team": "Ada's team", "Équipe 数据 🚀": "Équipe 数据 🚀", "שלום\u200f": "שלום\u200f", "a\u200db": "a\u200db",
		"a\nb": "a b", "a\r\nb": "a b", "a\tb": "a b", "a\x00b": "a b", "a\x1bb": "a b", "a\x7fb": "a b", "a\u0085b": "a b",
		"a\u2028b": "a b", "a\u2029\nb": "a b", "\n": "", "\n\na\r\n": "a",
	} {
		if got := line.Clean(name); got != clean {
			t.Errorf("%q becomes %q, want %q", name, got, clean)
		}
		err := validator.Validate(&authv1.Organization{DisplayName: name})
		if allowed := name == clean; (err == nil) != allowed || err != nil && !strings.Contains(err.Error(), "one line of text") {
			t.Errorf("the contract returns for %q: %v", name, err)
		}
		if err := validator.Validate(&authv1.Organization{DisplayName: clean}); err != nil {
			t.Errorf("the contract refuses %q: %v", clean, err)
		}
	}
}
