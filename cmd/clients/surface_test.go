package clients_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/proto/catalog"
)

// TestTypeScriptHoldsThePublicServices walks every RPC. A new internal service
// is left out in clients/typescript/buf.gen.yaml, a new public one is exported
// by src/index.ts.
func TestTypeScriptHoldsThePublicServices(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(filepath.Join(typescript, "src", "index.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range catalog.Methods() {
		service := m.Descriptor.Parent()
		path := filepath.Join(typescript, "src", "gen",
			filepath.FromSlash(strings.TrimSuffix(m.Descriptor.ParentFile().Path(), ".proto"))+"_pb.ts")
		generated, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		name := string(service.Name())
		if held := strings.Contains(string(generated), "export const "+name+":"); held != m.Public {
			t.Errorf("%s: generated %t, public %t (what is internal, buf.gen.yaml leaves out)", m.FullMethod, held, m.Public)
		}
		if exported := strings.Contains(string(index), "{ "+name+" }"); exported != m.Public {
			t.Errorf("%s: exported by src/index.ts %t, public %t", m.FullMethod, exported, m.Public)
		}
	}
}
