// Command stats prints figures of the hand-written Go code, per module.
//
//	make stats                                    the working tree
//	cd tools/stats && go run . -root DIR          another tree
//
// A line of code has more than a comment on it; blank lines do not count. The comment share
// is comment lines in code and comment lines together, without tests. Documented are exported
// names outside of tests with a comment. Test to code is lines of tests per line of code.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", "../..", "the root of the tree")
	flag.Parse()
	if err := run(*root, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stats:", err)
		os.Exit(1)
	}
}

// modules are the top folders that have Go code.
var modules = []string{"proto", "platform", "services", "gateway", "cmd", "bench", "tools"}

// figures are those of one module.
type figures struct {
	files, lines, comments int // without tests
	testFiles, testLines   int
	exported, documented   int
	functions              []int // lines of each function, without tests
}

func (f *figures) add(g figures) {
	f.files, f.lines, f.comments = f.files+g.files, f.lines+g.lines, f.comments+g.comments
	f.testFiles, f.testLines = f.testFiles+g.testFiles, f.testLines+g.testLines
	f.exported, f.documented = f.exported+g.exported, f.documented+g.documented
	f.functions = append(f.functions, g.functions...)
}

func run(root string, out io.Writer) error {
	fmt.Fprintf(out, "%-10s %6s %7s %10s %9s %11s %10s %6s %10s %10s\n",
		"module", "files", "lines", "functions", "func p90", "func > 80", "comments", "doc", "test files", "test:code")
	var total figures
	for _, module := range modules {
		f, err := measure(filepath.Join(root, module))
		if err != nil {
			return err
		}
		printRow(out, module, f)
		total.add(f)
	}
	printRow(out, "all", total)
	return nil
}

func printRow(out io.Writer, name string, f figures) {
	slices.Sort(f.functions)
	p90, long := 0, 0
	if n := len(f.functions); n > 0 {
		p90 = f.functions[n*9/10]
	}
	for _, lines := range f.functions {
		if lines > 80 {
			long++
		}
	}
	fmt.Fprintf(out, "%-10s %6d %7d %10d %9d %11d %9.1f%% %5.0f%% %10d %10.2f\n", name, f.files, f.lines, len(f.functions), p90, long,
		percent(f.comments, f.lines+f.comments), percent(f.documented, f.exported), f.testFiles, ratio(f.testLines, f.lines))
}

func percent(part, whole int) float64 { return 100 * ratio(part, whole) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// measure walks a module. Generated files do not count.
func measure(dir string) (figures, error) {
	var f figures
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"gen", "node_modules", "testdata"}, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		one, err := measureFile(path)
		f.add(one)
		return err
	})
	return f, err
}

func measureFile(path string) (figures, error) {
	var f figures
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return f, err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	code, comments := countLines(set, file, string(source))
	if strings.HasSuffix(path, "_test.go") {
		f.testFiles, f.testLines = 1, code
		return f, nil
	}
	f.files, f.lines, f.comments = 1, code, comments
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			f.functions = append(f.functions, set.Position(d.End()).Line-set.Position(d.Pos()).Line+1)
			f.count(d.Name, d.Doc)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					f.count(s.Name, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						f.count(name, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return f, nil
}

func (f *figures) count(name *ast.Ident, docs ...*ast.CommentGroup) {
	if !name.IsExported() {
		return
	}
	f.exported++
	if slices.ContainsFunc(docs, func(g *ast.CommentGroup) bool { return g != nil }) {
		f.documented++
	}
}

// countLines returns the lines with code and those with only a comment.
func countLines(set *token.FileSet, file *ast.File, source string) (code, comments int) {
	only := map[int]bool{}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			from, to := set.Position(comment.Pos()), set.Position(comment.End())
			for line := from.Line; line <= to.Line; line++ {
				only[line] = true
			}
		}
	}
	for n, line := range strings.Split(source, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case text == "":
		case only[n+1] && (strings.HasPrefix(text, "//") || strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "*")):
			comments++
		default:
			code++
		}
	}
	return code, comments
}
