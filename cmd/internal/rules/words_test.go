package rules_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"
)

const wordsFile = "words.txt"

// prose matches the files that people write, and generated the files that programs write.
var (
	prose     = regexp.MustCompile(`\.(go|proto|md|ts|mjs|templ|sh|ya?ml)$|(^|/)Makefile$`)
	generated = regexp.MustCompile(`(^|/)gen/|_gen\.go$|_templ\.go$|^third_party/|^docs/security\.md$`)
)

// givenUp is one line of words.txt.
type givenUp struct {
	hints   []string
	pattern *regexp.Regexp
	instead string
}

var columns = regexp.MustCompile(`  +`)

// find returns what a line has of the words, in lower case, or "".
func (g givenUp) find(line string) string {
	for _, hint := range g.hints {
		if strings.Contains(line, hint) {
			return g.pattern.FindString(line)
		}
	}
	return ""
}

func readWords(t *testing.T) []givenUp {
	t.Helper()
	file, err := os.Open(wordsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []givenUp
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := columns.Split(line, -1)
		if len(parts) != 3 {
			t.Fatalf("%s: %q has %d columns, want 3", wordsFile, line, len(parts))
		}
		out = append(out, givenUp{strings.Split(parts[0], ","), regexp.MustCompile(parts[1]), parts[2]})
	}
	if len(out) < 15 {
		t.Fatalf("%s has only %d lines: the test shows nothing", wordsFile, len(out))
	}
	return out
}

// committed returns the files of the repository, by git.
func committed(t *testing.T) []string {
	t.Helper()
	sources.Depend()
	output, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(output))
}

// Words that we gave up stand in no comment, name, text or document. Migrations keep theirs,
// as their checksums are stored.
func TestWords_GivenUp_AreNotUsed(t *testing.T) {
	t.Parallel()
	words := readWords(t)
	checked := 0
	for _, path := range committed(t) {
		if !prose.MatchString(path) || generated.MatchString(path) || strings.HasPrefix(path, "cmd/internal/rules/words") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		checked++
		for n, line := range strings.Split(strings.ToLower(string(content)), "\n") {
			for _, w := range words {
				if found := w.find(line); found != "" {
					t.Errorf("%s:%d: %q: write %s", path, n+1, strings.TrimSpace(found), w.instead)
				}
			}
		}
	}
	if checked < 500 {
		t.Fatalf("only %d files were checked: the test shows nothing", checked)
	}
}
