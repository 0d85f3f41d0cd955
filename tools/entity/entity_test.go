package main

import (
	"bytes"
	"context"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var errGenerate = errors.New("the generator failed")

// repository returns a new repository that has what the command reads.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"proto/gatehouse", "services/template", "services/management", "cmd/surface/testdata/fixtures"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "--all"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "test"},
	} {
		if output, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, output)
		}
	}
	return root
}

func nothing(context.Context, string, string) error { return nil }

func status(t *testing.T, root string) string {
	t.Helper()
	changed, err := git(t.Context(), root, "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestEntity_NewName_WritesEveryFile(t *testing.T) {
	t.Parallel()
	root := repository(t)
	var out bytes.Buffer
	if err := run(t.Context(), root, names("offer_category", "", "management"), nothing, &out); err != nil {
		t.Fatal(err)
	}
	migration := regexp.MustCompile(`^\?\? services/management/migrations/[0-9]{4}_offer_categories\.sql$`)
	want := []string{
		" M services/management/entities.go",
		"?? cmd/surface/testdata/fixtures/offer_category.json",
		"?? proto/gatehouse/management/v1/offer_category.proto",
		"?? services/management/offercategory/codec.go",
		"?? services/management/offercategory/offercategory.go",
		"?? services/management/offercategory/offercategory_test.go",
		"?? services/management/offercategory/service.go",
		"?? services/management/offercategory/service_test.go",
		"?? services/management/offercategory/store.go",
	}
	var got []string
	migrations := 0
	for line := range strings.SplitSeq(status(t, root), "\n") {
		if migration.MatchString(line) {
			migrations++
			continue
		}
		got = append(got, line)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || migrations != 1 {
		t.Errorf("changed %q and %d migrations, want %q and one migration", got, migrations, want)
	}
	residue := regexp.MustCompile(`(?i)sample|template|\ba offer`)
	for _, line := range got {
		path := line[3:]
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if found := residue.FindString(string(content)); found != "" && !strings.HasSuffix(path, "entities.go") {
			t.Errorf("%s has %q of the template", path, found)
		}
		if strings.HasSuffix(path, ".go") {
			if _, err := parser.ParseFile(token.NewFileSet(), path, content, 0); err != nil {
				t.Error(err)
			}
		}
	}
	if !strings.Contains(out.String(), "offer_categories.read") {
		t.Errorf("the report does not name the permission: %s", out.String())
	}
}

func TestEntity_BadNames_AreRefused(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for _, tc := range []struct{ name, plural, service, want string }{
		{"", "", "management", "NAME"},
		{"Prompt", "", "management", "NAME"},
		{"prompt-version", "", "management", "NAME"},
		{"../prompt", "", "management", "NAME"},
		{"prompt_", "", "management", "NAME"},
		{strings.Repeat("p", 41), "", "management", "NAME"},
		{"type", "", "management", "NAME"},
		{"string", "", "management", "NAME"},
		{"room", "", "management", "NAME"},
		{"user", "", "management", "NAME"},
		{"prompt", "prompt", "management", "PLURAL"},
		{"prompt", "Prompts", "management", "PLURAL"},
		{"prompt", "", "auth", "SERVICE"},
		{"prompt", "", "", "SERVICE"},
		{"assistant", "", "management", "exists"},
		{"conversation", "", "management", "exists"},
		{"organization_note", "organizations", "management", "exists"},
	} {
		err := run(t.Context(), root, names(tc.name, tc.plural, tc.service), nothing, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("name %q, plural %q, service %q: %v, want a refusal about %s", tc.name, tc.plural, tc.service, err, tc.want)
		}
	}
	if changed := status(t, root); changed != "" {
		t.Errorf("the refusals changed %s", changed)
	}
}

func TestEntity_DirtyTree_IsRefused(t *testing.T) {
	t.Parallel()
	root := repository(t)
	if err := run(t.Context(), root, names("prompt", "", "management"), nothing, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	before := status(t, root)
	// A second run finds the files of the first, which are not committed.
	for _, name := range []string{"prompt", "snippet"} {
		err := run(t.Context(), root, names(name, "", "management"), nothing, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "working tree has changes") {
			t.Errorf("%s: %v, want a refusal of the dirty tree", name, err)
		}
	}
	if after := status(t, root); after != before {
		t.Errorf("the refusals changed %s to %s", before, after)
	}
}

func TestEntity_GeneratorFails_TreeIsRestored(t *testing.T) {
	t.Parallel()
	root := repository(t)
	fails := func(_ context.Context, root, _ string) error {
		return errors.Join(errGenerate, os.WriteFile(filepath.Join(root, "proto/gatehouse/half.go"), nil, 0o600))
	}
	if err := run(t.Context(), root, names("prompt", "", "management"), fails, &bytes.Buffer{}); !errors.Is(err, errGenerate) {
		t.Errorf("run returned %v, want %v", err, errGenerate)
	}
	if changed := status(t, root); changed != "" {
		t.Errorf("left are the changes %s", changed)
	}
}

func TestPluralOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"prompt": "prompts", "category": "categories", "key": "keys", "box": "boxes", "branch": "branches", "prompt_class": "prompt_classes", "": "s",
	} {
		if got := pluralOf(name); got != want {
			t.Errorf("the plural of %q is %q, want %q", name, got, want)
		}
	}
}
