package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const modulePath = "github.com/gatehouse/gatehouse"

// The files of the template.
const (
	templateContract  = "proto/gatehouse/template/v1/sample_item.proto"
	templateMigration = "services/template/migrations/0001_sample_items.sql"
	templateRoom      = "services/template/sampleitem"
	templateFixture   = "services/template/sample_item.json"
)

// plan returns the content of each file to write, by its path below root. It refuses an
// entity that exists.
func plan(root string, n Names) (map[string][]byte, error) {
	if err := requireAbsent(root, n); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	number, err := nextMigration(filepath.Join(root, "services", n.Service, "migrations"))
	if err != nil {
		return nil, err
	}
	sources := map[string]string{
		templateContract:  n.contract(),
		templateFixture:   n.fixture(),
		templateMigration: fmt.Sprintf("services/%s/migrations/%04d_%s.sql", n.Service, number, n.Plural),
	}
	entries, err := os.ReadDir(filepath.Join(root, templateRoom))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		sources[templateRoom+"/"+entry.Name()] = n.room() + "/" + strings.Replace(entry.Name(), "sampleitem", n.Package, 1)
	}
	for from, to := range sources {
		content, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			return nil, err
		}
		if files[to], err = rename(to, content, n); err != nil {
			return nil, err
		}
	}
	wiring := "services/" + n.Service + "/entities.go"
	content, err := os.ReadFile(filepath.Join(root, wiring))
	if err != nil {
		return nil, err
	}
	files[wiring], err = addRoom(content, n)
	return files, err
}

// rename replaces the names of the template by those of the entity. The template's name has
// two words, so that each of its spellings is replaced by the same spelling.
func rename(path string, content []byte, n Names) ([]byte, error) {
	text := strings.NewReplacer(
		"SampleItems", n.Pascals, "SampleItem", n.Pascal,
		"sampleItems", n.Camels, "sampleItem", n.Camel,
		"sample_items", n.Plural, "sample_item", n.Snake,
		"sample-items", n.Path, "sampleitem", n.Package,
		"a sample item", article(n.Noun), "A sample item", capital(article(n.Noun)),
		"Sample items", capital(n.PluralNoun), "sample items", n.PluralNoun, "sample item", n.Noun,
		"gatehouse.template.v1", "gatehouse."+n.Service+".v1",
		"gatehouse/template/v1", "gatehouse/"+n.Service+"/v1",
		"templatev1", n.Service+"v1",
		"services/template", "services/"+n.Service,
		`"template"`, strconv.Quote(n.Service),
		`"template.`, `"`+n.Service+".",
	).Replace(string(content))
	if !strings.HasSuffix(path, ".go") {
		return []byte(text), nil
	}
	formatted, err := format.Source([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sortImports(formatted)
}

// sortImports sorts the imports of this repository, whose order the new paths change.
func sortImports(source []byte) ([]byte, error) {
	lines := strings.Split(string(source), "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && ownImport.MatchString(lines[to]) {
			to++
		}
		slices.SortFunc(lines[from:to], func(a, b string) int { return strings.Compare(importPath(a), importPath(b)) })
		from = max(from, to)
	}
	return format.Source([]byte(strings.Join(lines, "\n")))
}

var ownImport = regexp.MustCompile(`^\t([a-z0-9]+ )?"github\.com/gatehouse/gatehouse/`)

func importPath(line string) string { return line[strings.IndexByte(line, '"'):] }

// addRoom adds the construction of the entity's room to the function entities of a service.
func addRoom(content []byte, n Names) ([]byte, error) {
	before, after, found := bytes.Cut(content, []byte("\treturn rooms, nil\n"))
	if !found {
		return nil, errors.New(`the function entities must end in "return rooms, nil"`)
	}
	room := fmt.Sprintf("\t%[1]s, err := %[2]s.New(%[2]s.Deps(d))\n\tif err != nil {\n\t\treturn nil, err\n\t}\n\trooms = append(rooms, %[1]s)\n",
		n.Camels, n.Package)
	text := string(before) + room + "\treturn rooms, nil\n" + string(after)
	path := fmt.Sprintf("\t%q\n", modulePath+"/services/"+n.Service+"/"+n.Package)
	text = strings.Replace(text, ")\n", path+")\n", 1) // the end of the imports
	return sortImports([]byte(text))
}

// requireAbsent refuses an entity whose files, table, permissions or RPCs exist.
func requireAbsent(root string, n Names) error {
	for _, path := range []string{n.contract(), n.room(), n.fixture()} {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return fmt.Errorf("NAME: %s exists", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	taken := map[string]*regexp.Regexp{
		"the message " + n.Pascal:                 regexp.MustCompile(`(?m)^message ` + n.Pascal + ` `),
		"the RPC Create" + n.Pascal:               regexp.MustCompile(`rpc Create` + n.Pascal + `\(`),
		"the permission " + n.Plural + ".read":    regexp.MustCompile(`name: "` + n.Plural + `\.read"`),
		"the route /v1/" + n.Path:                 regexp.MustCompile(`"/v1/` + n.Path + `["/:]`),
		"the table " + n.Plural + " of a service": regexp.MustCompile(`(?i)CREATE TABLE ` + n.Plural + `\b`),
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		if d.IsDir() {
			if below != "." && below != "proto" && below != "services" && !strings.HasPrefix(below, "proto/gatehouse") && !strings.HasPrefix(below, "services/") {
				return fs.SkipDir
			}
			return nil
		}
		isContract, isMigration := strings.HasSuffix(path, ".proto"), strings.Contains(below, "/migrations/") && strings.HasSuffix(path, ".sql")
		if !isContract && !isMigration || strings.Contains(below, "/template/") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for what, pattern := range taken {
			if pattern.Match(content) {
				return fmt.Errorf("NAME: %s exists, in %s", what, below)
			}
		}
		return nil
	})
}

var migrationName = regexp.MustCompile(`^([0-9]{4})_.*\.sql$`)

// nextMigration returns the number after the last migration of a folder.
func nextMigration(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	last := 0
	for _, entry := range entries {
		if match := migrationName.FindStringSubmatch(entry.Name()); match != nil {
			number, err := strconv.Atoi(match[1])
			if err != nil {
				return 0, err
			}
			last = max(last, number)
		}
	}
	return last + 1, nil
}
