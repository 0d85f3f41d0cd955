package e2e_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	readme        = "../../README.md"
	organizations = "../../docs/organizations.md"
	oauth         = "../../docs/oauth.md"
)

// readmeTour runs the README's commands in a shell, line by line as they are
// printed, but for what the reader is told to fill in and for where the tour
// leaves its files.
func readmeTour(t *testing.T, i *installation) {
	text := runPage(t, i, readme, map[string]string{
		"PASSWORD=...": "PASSWORD='" + adminPassword + "'", "/tmp/": t.TempDir() + "/",
	})
	for _, want := range []string{
		"event: run.started", `"quote":"Every employee has 28 days of paid leave a year."`, "event: run.completed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tour does not show %s:\n%s", want, text)
		}
	}
	// It ends with the same run from its tenth event.
	if strings.Count(text, "retry: 1000\n") != 2 || strings.Count(text, "\nid: 11\n") != 2 || strings.Count(text, "\nid: 10\n") != 1 {
		t.Errorf("the tour does not resume after event 10:\n%s", text)
	}
}

// organizationsPage runs the commands of the page about organizations.
func organizationsPage(t *testing.T, i *installation) {
	want := "PERMISSION_DENIED\nHelper\nDifference Engines\nmember\nLAST_OWNER\nNOT_FOUND\n" +
		"DELETED\nNOT_FOUND\nACTIVE\nHelper\nLAST_OWNER\nUNAUTHENTICATED\n"
	if got := runPage(t, i, organizations, nil); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// oauthPage runs the commands of the page about OAuth.
func oauthPage(t *testing.T, i *installation) {
	want := "200\nINSUFFICIENT_SCOPE\nTrue\nFalse\n"
	if got := runPage(t, i, oauth, nil); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// runPage runs a page's shell block against an installation, with what the reader
// fills in, and returns what it prints.
func runPage(t *testing.T, i *installation, page string, filled map[string]string) string {
	t.Helper()
	script := firstShellBlock(t, page)
	replace := map[string]string{"BASE=http://127.0.0.1:8080": "BASE=" + i.base}
	maps.Copy(replace, filled)
	for from, to := range replace {
		if !strings.Contains(script, from) {
			t.Fatalf("%s has no %q", page, from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "bash", "-eu", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// firstShellBlock is the first shell block of a page.
func firstShellBlock(t *testing.T, path string) string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "\n```sh\n")
	script, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		t.Fatalf("%s has no shell block", path)
	}
	return script
}
