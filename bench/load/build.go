package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// buildTimeout allows for a build with nothing in the cache.
const buildTimeout = 8 * time.Minute

const megabyte = 1e6

// binary is what was built.
type binary struct {
	path string
	size int64
}

// build builds the binary that holds every part.
func build(ctx context.Context, opts options, dir string) (binary, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	b := binary{path: filepath.Join(dir, "gatehouse")}
	args := []string{"build", "-tags", "grpcnotrace", "-o", b.path}
	if opts.stripped {
		args = append(args, "-trimpath", "-ldflags", "-s -w")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./gatehouse")...) //nolint:gosec // our own arguments
	cmd.Dir = filepath.Join(opts.root, "cmd")
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build the binary: %w\n%s", err, output)
	}
	info, err := os.Stat(b.path)
	if err != nil {
		return b, fmt.Errorf("build the binary: %w", err)
	}
	b.size = info.Size()
	return b, nil
}

func (b binary) figure() row {
	return row{
		what: "stripped binary", measured: fmt.Sprintf("%.1f MB", float64(b.size)/megabyte),
		aim: "below 40 MB", met: b.size < 40*megabyte,
	}
}

// workDir makes the folder of a run. Postgres runs as another user when we are
// root, and must be able to pass through.
func workDir() (string, error) {
	dir, err := os.MkdirTemp("", "gatehouse-load-")
	if err != nil {
		return "", fmt.Errorf("work folder: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // to pass, not to list
		return "", fmt.Errorf("work folder: %w", err)
	}
	return dir, nil
}
