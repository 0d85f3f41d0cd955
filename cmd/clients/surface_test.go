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

// The TypeScript client has every public service and no internal one. A new internal service must be
// excluded in clients/typescript/buf.gen.yaml; a new public one must be exported by src/index.ts.
func TestTypeScriptClient_Services_AreThePublicOnes(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(filepath.Join(typescript, "src", "index.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range catalog.Methods() {
		service := m.Descriptor.Parent()
		path := filepath.Join(typescript, "src", "gen",
			filepath.FromSlash(strings.TrimSuffix(m.Descriptor.ParentFile().Path(), ".proto"))+"_pb.ts")
		code, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		name := string(service.Name())
		if generated := strings.Contains(string(code), "export const "+name+":"); generated != m.Public {
			t.Errorf("%s: generated %t, public %t (buf.gen.yaml excludes internal services)", m.FullMethod, generated, m.Public)
		}
		if exported := strings.Contains(string(index), "{ "+name+" }"); exported != m.Public {
			t.Errorf("%s: exported by src/index.ts %t, public %t", m.FullMethod, exported, m.Public)
		}
	}
}
