package localdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minMajor is the oldest Postgres that Gatehouse supports.
const minMajor = 15

// ErrNoPostgres means that the machine has no suitable Postgres server.
var ErrNoPostgres = errors.New("localdb: found no Postgres server 15 or newer on this machine; run deploy/setup/postgres.sh, or set a database URL")

// binaries is one installation of the Postgres server.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// findBinaries returns the installation to use. When a cluster exists (wanted > 0), it
// must have the wanted major version. Otherwise it is the newest one in the first
// directory that has any.
func findBinaries(ctx context.Context, given string, wanted int) (binaries, error) {
	var other []string
	for _, dir := range candidates(ctx, given) {
		major, ok := serverVersion(ctx, dir)
		switch {
		case !ok || major < minMajor:
			continue
		case wanted == 0 || major == wanted:
			return binaries{dir: dir, major: major}, nil
		}
		other = append(other, strconv.Itoa(major))
	}
	if len(other) > 0 {
		return binaries{}, fmt.Errorf("localdb: the data directory was created by Postgres %d, but this machine has only %s: install postgresql-%d, or dump and restore into a new data directory",
			wanted, strings.Join(other, ", "), wanted)
	}
	return binaries{}, ErrNoPostgres
}

// candidates returns directories to search, best first.
func candidates(ctx context.Context, given string) []string {
	if given != "" {
		return []string{given}
	}
	var dirs []string
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	packaged, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err == nil {
		slices.SortFunc(packaged, func(a, b string) int {
			return cmp.Compare(packagedVersion(b), packagedVersion(a))
		})
		dirs = append(dirs, packaged...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(resolved))
		}
	}
	return dirs
}

func packagedVersion(binDir string) int {
	version, err := strconv.Atoi(filepath.Base(filepath.Dir(binDir)))
	if err != nil {
		return 0
	}
	return version
}

// serverVersion runs the server binary to get its major version. It returns false for a
// directory with only clients (the package of libpq also has a pg_config).
func serverVersion(ctx context.Context, dir string) (int, bool) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, false
	}
	// "postgres (PostgreSQL) 15.18 (Debian …)", or 18beta1
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return 0, false
	}
	digits := strings.IndexFunc(fields[2], func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(fields[2])
	}
	major, err := strconv.Atoi(fields[2][:digits])
	return major, err == nil
}
