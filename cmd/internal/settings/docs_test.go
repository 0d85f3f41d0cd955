package settings_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/config"
)

var update = flag.Bool("update", false, "rewrite docs/config.md")

const (
	root   = "../../.."
	page   = root + "/docs/config.md"
	module = "github.com/gatehouse/gatehouse/"
)

// docs/config.md has the comments of the settings, for operators.
func TestConfigPage_Generated_IsUpToDate(t *testing.T) {
	t.Parallel()
	sources.Depend()
	var b strings.Builder
	b.WriteString("# Settings\n\nGenerated from the code; do not edit. Each setting is an environment variable. In local, a\n" +
		"`.env` file is read too. A secret can also be read from a file, whose path is in the variable\n" +
		"with `_FILE` after its name.\n\n" +
		"| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, s := range config.Describe(&settings.Settings{}) {
		meaning := comment(t, s)
		if meaning == "" {
			t.Errorf("%s has no comment", s.Name)
		}
		if s.Secret {
			meaning += " (secret)"
		}
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, value, meaning)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("docs/config.md is stale: cd cmd && go test ./internal/settings -update")
	}
}

// comment returns the comment of a setting's field.
func comment(t *testing.T, s config.Setting) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, strings.TrimPrefix(s.Package, module), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, path := range paths {
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != s.Struct {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range fields.Fields.List {
				if len(field.Names) == 1 && field.Names[0].Name == s.Field {
					found = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
			return false
		})
	}
	return found
}
