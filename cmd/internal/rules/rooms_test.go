// Package rules has tests of what the whole repository must hold and no linter checks: the
// shape of a room, the words that we write, and the security checks. Which package may
// import which is in .golangci.yml.
package rules_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

// room is a package below services/ whose type Service registers RPCs.
type room struct {
	path  string // below the root, such as services/management/assistant
	files map[string]*ast.File
}

func (r room) name() string { return filepath.Base(r.path) }

// rooms parses every package of a service that is a room.
func rooms(t *testing.T) []room {
	t.Helper()
	packages := map[string]room{}
	for _, path := range committed(t) {
		if !strings.HasPrefix(path, "services/") || !strings.HasSuffix(path, ".go") || strings.Count(path, "/") < 3 {
			continue
		}
		dir := filepath.Dir(path)
		if packages[dir].files == nil {
			packages[dir] = room{path: dir, files: map[string]*ast.File{}}
		}
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			continue // deleted, and not yet committed
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		packages[dir].files[filepath.Base(path)] = parsed
	}
	var out []room
	for _, r := range packages {
		if file, _ := r.method("Service", "Register"); file != "" {
			out = append(out, r)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d rooms were found: the test shows nothing", len(out))
	}
	return out
}

// method returns a method of a type and the file that declares it.
func (r room) method(receiver, name string) (string, *ast.FuncDecl) {
	for file, parsed := range r.files {
		for _, declaration := range parsed.Decls {
			fn, ok := declaration.(*ast.FuncDecl)
			if !ok || fn.Name.Name != name || (fn.Recv == nil) != (receiver == "") {
				continue
			}
			if receiver == "" || strings.TrimPrefix(typeName(fn.Recv.List[0].Type), "*") == receiver {
				return file, fn
			}
		}
	}
	return "", nil
}

// structType returns a struct and the file that declares it.
func (r room) structType(name string) (string, *ast.StructType) {
	for file, parsed := range r.files {
		for _, declaration := range parsed.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok && named.Name.Name == name {
					fields, _ := named.Type.(*ast.StructType)
					return file, fields
				}
			}
		}
	}
	return "", nil
}

func typeName(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + typeName(e.X)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	default:
		return ""
	}
}

// Every room has the shape that CONTRIBUTING.md describes.
func TestRooms_HaveOneShape(t *testing.T) {
	t.Parallel()
	for _, r := range rooms(t) {
		t.Run(strings.TrimPrefix(r.path, "services/"), func(t *testing.T) {
			t.Parallel()
			for _, problem := range r.problems() {
				t.Error(problem)
			}
		})
	}
}

func (r room) problems() []string {
	var out []string
	expect := func(holds bool, format string, args ...any) {
		if !holds {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	expect(r.files[r.name()+".go"] != nil, "has no %s.go with the package's comment", r.name())
	if main := r.files[r.name()+".go"]; main != nil {
		expect(main.Doc != nil, "%s.go has no package comment", r.name())
	}
	for _, name := range []string{"Register", "Tables"} {
		file, _ := r.method("Service", name)
		expect(file == "service.go", "declares Service.%s in %q, not in service.go", name, file)
	}
	file, constructor := r.method("", "New")
	expect(file == "service.go", "declares New in %q, not in service.go", file)
	if constructor != nil {
		results := constructor.Type.Results.List
		parameters := constructor.Type.Params.List
		expect(len(parameters) == 1 && typeName(parameters[0].Type) == "Deps" && len(results) == 2 && typeName(results[0].Type) == "*Service",
			"New is not func(Deps) (*Service, error)")
		expect(calls(constructor, "deps.Check"), "New does not call deps.Check")
	}
	_, service := r.structType("Service")
	expect(service != nil && hasField(service, "deps", "Deps"), "Service has no field deps of type Deps")
	for function, where := range map[string]string{"encode": "codec.go", "decode": "codec.go"} {
		if file, _ := r.method("", function); file != "" {
			expect(file == where, "declares %s in %s, not in %s", function, file, where)
		}
	}
	for _, name := range []string{"Store", "store"} {
		if file, _ := r.structType(name); file != "" {
			expect(file == "store.go", "declares %s in %s, not in store.go", name, file)
		}
	}
	tested := slices.ContainsFunc(sortedNames(r.files), func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	expect(tested, "has no test beside it")
	return out
}

func calls(fn *ast.FuncDecl, wanted string) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && typeName(call.Fun) == wanted {
			found = true
		}
		return true
	})
	return found
}

func hasField(fields *ast.StructType, name, kind string) bool {
	return slices.ContainsFunc(fields.Fields.List, func(f *ast.Field) bool {
		return len(f.Names) == 1 && f.Names[0].Name == name && typeName(f.Type) == kind
	})
}

func sortedNames(files map[string]*ast.File) []string {
	var out []string
	for name := range files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// A room bears the name of a contract of its service: user_admin.proto is the room useradmin.
// Rooms without an RPC of their own, such as the one that sends emails, have no contract.
func TestRooms_BearTheNamesOfContracts(t *testing.T) {
	t.Parallel()
	contracts := map[string]bool{}
	for _, path := range committed(t) {
		if strings.HasPrefix(path, "proto/gatehouse/") && strings.HasSuffix(path, ".proto") {
			contracts[strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".proto"), "_", "")] = true
		}
	}
	// Sign-in with identity providers is one subject in three contracts: provider,
	// identity and identity_provider.
	contracts["federation"] = true
	for _, r := range rooms(t) {
		if _, register := r.method("Service", "Register"); len(register.Body.List) > 0 && !contracts[r.name()] {
			t.Errorf("%s registers RPCs and has the name of no contract", r.path)
		}
	}
}

// A method of a store is exported only when another package calls it. What entity.Rows needs
// is exported too.
func TestRooms_Stores_ExportOnlyWhatOthersCall(t *testing.T) {
	t.Parallel()
	rows := []string{"InTx", "Lock", "Insert", "Update", "Delete"}
	all, checked := rooms(t), 0
	for _, r := range all {
		for _, parsed := range r.files {
			for _, declaration := range parsed.Decls {
				fn, ok := declaration.(*ast.FuncDecl)
				if !ok || fn.Recv == nil || !fn.Name.IsExported() || strings.ToLower(strings.TrimPrefix(typeName(fn.Recv.List[0].Type), "*")) != "store" {
					continue
				}
				checked++
				called := slices.ContainsFunc(all, func(other room) bool { return other.path != r.path && other.selects(fn.Name.Name) })
				if !called && !slices.Contains(rows, fn.Name.Name) && !selectedByRoot(t, r.path, fn.Name.Name) {
					t.Errorf("%s exports %s, which no other package calls", r.path, fn.Name.Name)
				}
			}
		}
	}
	if checked < 20 {
		t.Fatalf("only %d exported methods of stores were found: the test shows nothing", checked)
	}
}

// selects reports whether code of a room, without its tests, selects a name.
func (r room) selects(name string) bool {
	for file, parsed := range r.files {
		if !strings.HasSuffix(file, "_test.go") && selects(parsed, name) {
			return true
		}
	}
	return false
}

func selects(parsed *ast.File, name string) bool {
	found := false
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == name {
			found = true
		}
		return !found
	})
	return found
}

// selectedByRoot reports whether the root package of a room's service selects a name.
func selectedByRoot(t *testing.T, path, name string) bool {
	t.Helper()
	service := strings.Join(strings.Split(path, "/")[:2], "/")
	entries, err := filepath.Glob(filepath.Join(root, service, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		parsed, err := parser.ParseFile(token.NewFileSet(), entry, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if selects(parsed, name) {
			return true
		}
	}
	return false
}

// gaps are the numbers that no migration of a service has. Work on several branches reserved
// ranges of numbers and did not use all of them. New migrations leave no gap.
var gaps = map[string][]int{
	"auth": {9, 10, 11, 14, 15, 16, 17, 18, 19, 23, 24, 29, 32, 33, 34, 37, 38, 39},
	"chat": {
		6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
		40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 54, 55, 56, 57, 58, 59,
	},
}

func TestMigrations_Numbers_Continue(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^services/(\w+)/migrations/([0-9]{4})_\w+\.sql$`)
	numbers := map[string][]int{}
	for _, path := range committed(t) {
		if match := name.FindStringSubmatch(path); match != nil {
			number, err := strconv.Atoi(match[2])
			if err != nil {
				t.Fatal(err)
			}
			numbers[match[1]] = append(numbers[match[1]], number)
		}
	}
	for service, used := range numbers {
		for number := 1; number <= slices.Max(used); number++ {
			found := 0
			for _, n := range append(slices.Clone(used), gaps[service]...) {
				if n == number {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s has %d migrations with the number %d, want one: the next number is %d", service, found, number, slices.Max(used)+1)
			}
		}
	}
}
