// Command entity adds an entity to a service: a resource of an organization that can be
// created, read, listed, updated and deleted.
//
//	make entity NAME=prompt SERVICE=management
//
// It copies the template room (services/template, proto/gatehouse/template) under the new
// name, with its contract, migration, tests and fixture, adds the room to its service, and
// regenerates what is generated from contracts. It changes nothing when it refuses or
// fails: the working tree must be clean, so that it can be restored.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// timeout bounds the whole command. Generating and compiling take about a minute.
const timeout = 10 * time.Minute

func main() {
	root := flag.String("root", "../..", "the root of the repository")
	name := flag.String("name", "", "the name of the entity, singular, such as prompt or prompt_version")
	plural := flag.String("plural", "", "the plural of the name, when adding an s is wrong")
	service := flag.String("service", "", "the service that gets the entity: management or chat")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := run(ctx, *root, names(*name, *plural, *service), regenerate, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "entity:", err)
		os.Exit(1)
	}
}

// run plans the files, writes them, and calls generate. When anything fails it restores the
// working tree.
func run(ctx context.Context, root string, n Names, generate func(ctx context.Context, root, service string) error, out io.Writer) error {
	if err := n.Check(); err != nil {
		return err
	}
	if err := requireClean(ctx, root); err != nil {
		return err
	}
	files, err := plan(root, n)
	if err != nil {
		return err
	}
	err = write(root, files)
	if err == nil {
		err = generate(ctx, root, n.Service)
	}
	if err != nil {
		// Restoring must not end with the context that an interrupt ended.
		return errors.Join(err, restore(context.WithoutCancel(ctx), root))
	}
	return report(ctx, root, n, out)
}

// regenerate runs the generators of the repository and updates its golden files.
func regenerate(ctx context.Context, root, service string) error {
	for _, step := range []struct {
		dir  string
		args []string
	}{
		{".", []string{"make", "--no-print-directory", "generate"}},
		{"proto", []string{"go", "test", "./catalog", "-update"}},
		{"services", []string{"go", "test", "-tags", "grpcnotrace", "./" + service + "/migrations", "-update"}},
	} {
		cmd := exec.CommandContext(ctx, step.args[0], step.args[1:]...)
		cmd.Dir = filepath.Join(root, step.dir)
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(step.args, " "), err, output)
		}
	}
	return nil
}

// write writes the planned files.
func write(root string, files map[string][]byte) error {
	for path, content := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// report lists what changed and what is left to decide.
func report(ctx context.Context, root string, n Names, out io.Writer) error {
	changed, err := git(ctx, root, "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Added the entity %s to %s. Changed files:\n%s\n", n.Noun, n.Service, changed)
	fmt.Fprintf(out, `Decide next:
  - Fields: a line in %[1]s, a column in %[2]s, a field with its limits in %[3]s,
    and the field in codec.go of the room; then make generate.
  - Permissions: the roles of %[4]s.read and %[4]s.write, at the top of the contract.
  - Limits: the number of %[5]s of an organization, if it must be bounded.
  - Deletion: rows are deleted at once. See the room of assistants for a restore window.
CONTRIBUTING.md has the whole list. Then git add -A && make test.
`, n.roomFile(), n.migrationGlob(), n.contract(), n.Plural, n.PluralNoun)
	return nil
}

// requireClean refuses a working tree with changes, since they could not be told apart from
// the generated ones.
func requireClean(ctx context.Context, root string) error {
	changed, err := git(ctx, root, "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("the working tree has changes; commit or stash them first:\n%s", changed)
	}
	return nil
}

// restore returns the working tree to its commit. It was clean, so every change is from
// this run. Ignored files, such as built tools, stay.
func restore(ctx context.Context, root string) error {
	_, resetErr := git(ctx, root, "checkout", "--quiet", "--", ".")
	_, cleanErr := git(ctx, root, "clean", "--quiet", "-d", "--force")
	return errors.Join(resetErr, cleanErr)
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, output)
	}
	return strings.TrimRight(string(output), "\n"), nil
}
