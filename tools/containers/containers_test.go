// Package containers checks deploy/Dockerfile with BuildKit's own linter and
// docker-compose.yml with Compose's own loader, and both against the rules of
// the repository. It is a module of its own, since nothing that ships needs either.
package containers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
)

const root = "../.."

// noRegistry answers for every image with an empty configuration, so that
// linting asks nobody.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte("{}"), nil
}

// lintDockerfile returns what BuildKit says about a Dockerfile.
func lintDockerfile(ctx context.Context, text []byte) ([]string, error) {
	results, err := dockerfile2llb.DockerfileLint(ctx, text, dockerfile2llb.ConvertOpt{
		MetaResolver: noRegistry{}, SourceMap: &llb.SourceMap{Definition: &llb.Definition{}, Filename: "Dockerfile", Data: text},
	})
	if err != nil {
		return nil, err
	}
	if results.Error != nil {
		return nil, errors.New(results.Error.Message)
	}
	var out []string
	for _, warning := range results.Warnings {
		line := 0
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = int(ranges[0].GetStart().GetLine())
		}
		out = append(out, fmt.Sprintf("%d: %s: %s", line, warning.RuleName, warning.Detail))
	}
	return out, nil
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := read(t, "deploy/Dockerfile")
	warnings, err := lintDockerfile(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		t.Errorf("deploy/Dockerfile:%s", warning)
	}
	file, err := parser.Parse(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(file.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range stages {
		if !plainImage(stage.BaseName) {
			t.Errorf("deploy/Dockerfile takes %s: want a plain image name with a tag", stage.BaseName)
		}
	}
	user := ""
	for _, command := range stages[len(stages)-1].Commands {
		if c, ok := command.(*instructions.UserCommand); ok {
			user = c.User
		}
	}
	// A number, so that an orchestrator can see that it is not root.
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("the image runs as %q, want a user and a group by number, not root's", user)
	}
}

// TestTheLinterFindsMistakes keeps the linter from passing because it does not
// look.
func TestTheLinterFindsMistakes(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"LegacyKeyValueFormat":           "FROM debian:bookworm\nENV A b\n",
		"JSONArgsRecommended":            "FROM debian:bookworm\nCMD serve now\n",
		"UndefinedVar":                   "FROM debian:bookworm\nENV A=$NOWHERE\n",
		"SecretsUsedInArgOrEnv":          "FROM debian:bookworm\nENV DATABASE_PASSWORD=hunter2\n",
		"StageNameCasing":                "FROM debian:bookworm AS Build\n",
		"MultipleInstructionsDisallowed": "FROM debian:bookworm\nCMD [\"a\"]\nCMD [\"b\"]\n",
	} {
		warnings, err := lintDockerfile(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(warnings, "\n"), name) {
			t.Errorf("%q: %v, want %s", text, warnings, name)
		}
	}
	if _, err := lintDockerfile(t.Context(), []byte("FROM debian:bookworm\nRUNN true\n")); err == nil {
		t.Error("an unknown instruction passes")
	}
}

func load(ctx context.Context, path string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func TestCompose(t *testing.T) {
	t.Parallel()
	project, err := load(t.Context(), filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	settings := string(read(t, "docs/config.md"))
	for name, service := range project.Services {
		if service.Image != "gatehouse" && !plainImage(service.Image) {
			t.Errorf("%s runs %s: want a plain image name with a tag", name, service.Image)
		}
		if service.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		for variable, value := range service.Environment {
			if secretName.MatchString(variable) && !strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s is given %s in the open: give a secret's file", name, variable)
			}
			setting := strings.TrimSuffix(variable, "_FILE")
			if strings.HasPrefix(setting, "GATEHOUSE_") && !strings.Contains(settings, "`"+setting+"`") {
				t.Errorf("%s sets %s, which is no setting", name, variable)
			}
			checkSecret(t, service, variable, *value)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s to every network", name, port.Published)
			}
		}
	}
}

// checkSecret holds that a secret's file is one that the service is given.
func checkSecret(t *testing.T, service types.ServiceConfig, variable, value string) {
	t.Helper()
	file, ok := strings.CutPrefix(value, "/run/secrets/")
	if !ok {
		return
	}
	for _, secret := range service.Secrets {
		if secret.Source == file {
			return
		}
	}
	t.Errorf("%s reads %s from the secret %s, which it is not given", service.Name, variable, file)
}

func TestComposeRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "docker-compose.yml")
	if err := os.WriteFile(path, []byte("name: x\nservices: {a: {image: b, helthcheck: {}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t.Context(), path); err == nil {
		t.Error("an unknown key passes")
	}
}

var (
	secretName = regexp.MustCompile(`PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL`)
	tagged     = regexp.MustCompile(`:[^:/]+$`)
)

// plainImage reports whether a name is tagged and names no host to fetch it from.
func plainImage(name string) bool {
	first, _, several := strings.Cut(name, "/")
	names := several && strings.ContainsAny(first, ".:")
	return tagged.MatchString(name) && !names
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
