// Package rules holds the import rules of CONTRIBUTING.md against the code.
package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../../.."
	module = "github.com/gatehouse/gatehouse/"
	pgx    = "github.com/jackc/pgx/"
)

// file is a hand-written Go file that is no test.
type file struct {
	path    string // below the root, for example services/auth/auth.go
	imports []string
	calls   []string // package.Function, as written
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, imported := range f.imports {
			if reason := forbidden(f.path, imported); reason != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, reason)
			}
		}
	}
}

func TestHouseHelpersAreUsed(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for call, owner := range map[string]string{
			"time.Now":     "platform/clock",
			"os.Getenv":    "platform/config",
			"os.LookupEnv": "platform/config",
			"os.Environ":   "platform/config",
		} {
			if slices.Contains(f.calls, call) && !within(f.path, owner) {
				t.Errorf("%s calls %s: %s does that", f.path, call, owner)
			}
		}
	}
}

// forbidden says why a file may not import a package, or "".
func forbidden(path, imported string) string {
	own, isOwn := strings.CutPrefix(imported, module)
	switch {
	case isOwn && within(own, "cmd") && !within(path, "cmd"):
		return "nobody imports cmd"
	case isOwn && within(path, "proto") && !within(own, "proto"):
		return "proto imports nothing of ours"
	case isOwn && within(path, "platform") && !within(own, "platform") && !within(own, "proto"):
		return "platform imports proto alone"
	case isOwn && within(path, "gateway") && within(own, "services"):
		return "the gateway knows contracts, not services"
	case isOwn && within(path, "services") && within(own, "services") && service(path) != service(own):
		return "a service reaches another through its contract"
	case strings.HasPrefix(imported, pgx) && !mayQuery(path):
		return "only stores and platform/postgres import pgx"
	case imported == "google.golang.org/grpc/status" && !maySpeakStatus(path):
		return "domain code returns faults"
	default:
		return ""
	}
}

func mayQuery(path string) bool {
	for _, dir := range []string{"platform/postgres", "platform/pgtest", "platform/localdb", "platform/jobs", "platform/audit", "platform/idempotency", "platform/paging", "platform/erasure"} {
		if within(path, dir) {
			return true
		}
	}
	return within(path, "services") && strings.HasPrefix(filepath.Base(path), "store")
}

func maySpeakStatus(path string) bool {
	for _, dir := range []string{"platform/fault", "platform/rpcserver", "platform/rpcclient", "gateway"} {
		if within(path, dir) {
			return true
		}
	}
	return false
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// service is the name of the service that a path below services/ belongs to.
func service(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return parts[1]
}

func files(t *testing.T) []file {
	t.Helper()
	var out []file
	for _, dir := range []string{"proto", "platform", "services", "gateway", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			below, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if d.IsDir() && below == "proto/gen" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			parsed, err := parse(path)
			parsed.path = filepath.ToSlash(below)
			out = append(out, parsed)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d files found: the rules hold nothing", len(out))
	}
	return out
}

func parse(path string) (file, error) {
	var f file
	tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imported)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok {
				f.calls = append(f.calls, pkg.Name+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}
