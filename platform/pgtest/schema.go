package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

const schemaHeader = `-- The tables of the %s service after all migrations, for readers. The tests of package
-- migrations write it: go test ./%s/migrations -update

`

// noise matches the output of pg_dump that is not a definition: settings of the session,
// comments and owners.
var noise = regexp.MustCompile(`(?m)^(SET .*|SELECT pg_catalog\.set_config.*|--.*|\\(un)?restrict .*|ALTER .* OWNER TO .*)\n`)

var blankLines = regexp.MustCompile(`\n{3,}`)

// CheckSchema compares a file with the schema that migrations create, as pg_dump writes it.
// With update it writes the file instead.
func CheckSchema(t *testing.T, set postgres.MigrationSet, path string, update bool) {
	t.Helper()
	name := string(set.Role)
	database := New(t, set)
	bin := database.AdminQuery(t, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0]
	dump := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_dump"), "--schema-only", "--schema="+name, "--dbname="+database.AdminURL)
	output, err := dump.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	text := blankLines.ReplaceAllString(noise.ReplaceAllString(string(output), ""), "\n\n")
	text = strings.ReplaceAll(schemaHeader, "%s", name) + strings.TrimSpace(text) + "\n"
	if update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil || string(committed) != text {
		t.Errorf("%s is not what the migrations create (%v): run go test ./%s/migrations -update in services", path, err, name)
	}
}
