package rules_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"
)

// TestUnusedMethodsAreLeftOut: code that calls a method by a name known only at run
// time, such as text/template, makes the linker keep every exported method of every
// type in the binary (docs/decisions/0015).
func TestUnusedMethodsAreLeftOut(t *testing.T) {
	t.Parallel()
	sources.Depend()
	// The linker says what it kept, and because of what.
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-ldflags", "-dumpdep",
		"-o", filepath.Join(t.TempDir(), "gatehouse"), "./gatehouse")
	build.Dir = filepath.Join(root, "cmd")
	build.Env = append(build.Environ(), "GOWORK=off")
	output, err := build.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := build.Start(); err != nil {
		t.Fatal(err)
	}
	lines, found := bufio.NewScanner(output), map[string]bool{}
	lines.Buffer(nil, 1<<20)
	seen, other := 0, []string{}
	for lines.Scan() {
		line := lines.Text()
		from, to, arrow := strings.Cut(line, " -> ")
		if !arrow {
			other = append(other, line)
			continue
		}
		seen++
		if strings.HasSuffix(to, " <ReflectMethod>") && !found[to] {
			found[to] = true
			t.Errorf("%s calls methods by name, and is reached from %s", strings.TrimSuffix(to, " <ReflectMethod>"), from)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if err := build.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(other, "\n"))
	}
	if seen < 10_000 {
		t.Errorf("the linker said only %d reasons", seen)
	}
}
