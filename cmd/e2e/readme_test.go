package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const readme = "../../README.md"

// readmeTour runs the README's commands in a shell, line by line as they are
// printed, but for what the reader is told to fill in and for where the tour
// leaves its files.
func readmeTour(t *testing.T, i *installation) {
	script := tour(t)
	for from, to := range map[string]string{
		"PASSWORD=...": "PASSWORD='" + adminPassword + "'", "BASE=http://127.0.0.1:8080": "BASE=" + i.base, "/tmp/": t.TempDir() + "/",
	} {
		if !strings.Contains(script, from) {
			t.Fatalf("the tour has no %q", from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-eu", "-c", script)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
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

// tour is the README's shell block.
func tour(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "\n```sh\n")
	script, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		t.Fatal("the README has no shell block")
	}
	return script
}
