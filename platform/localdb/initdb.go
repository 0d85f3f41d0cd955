package localdb

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	settingsFile = "gatehouse.conf"
	includeLine  = "\n# Written by Gatehouse on each start; ALTER SYSTEM overrides it.\ninclude_if_exists = '" + settingsFile + "'\n"
)

// settings are the settings of a cluster that serves one machine. ALTER SYSTEM overrides
// them.
const settings = `# Written by Gatehouse on each start: changes here are lost. Use ALTER SYSTEM.
listen_addresses = ''                  # only the Unix socket
unix_socket_permissions = 0700
max_connections = 200                  # four services with a pool each, and a reserve
shared_buffers = 128MB
jit = off                              # costs more than it saves on short queries
max_parallel_workers_per_gather = 0    # leaves the cores to the services, and does not use /dev/shm
wal_level = minimal                    # there is no replica and no archive
max_wal_senders = 0                    # required by minimal
max_wal_size = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on                 # Postgres keeps running when Gatehouse is killed, so it writes its own log
log_directory = '../log'
log_filename = 'postgres-%a.log'
log_truncate_on_rotation = on          # a week of logs, then they are overwritten
log_rotation_age = 1d
log_rotation_size = 0
log_line_prefix = '%m [%p] %q%u@%d '
`

// volatileSettings disable durability, for tests.
const volatileSettings = `fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 500                  # many tests, each with a pool
`

// initialize creates the cluster when there is none. It returns the administrator's
// password.
func (h home) initialize(ctx context.Context, bin binaries, volatile bool, log *slog.Logger) (string, error) {
	made, err := exists(h.data)
	if err != nil {
		return "", fmt.Errorf("localdb: %w", err)
	}
	if made {
		return h.password()
	}
	log.Info("creating the local database", "path", h.data, "postgres", bin.major, "user", h.account.name)
	password := rand.Text()
	if err := h.account.writeFile(h.passwordFile(), []byte(password+"\n")); err != nil {
		return "", err
	}
	return password, h.runInitdb(ctx, bin, volatile)
}

// password reads the administrator's password.
func (h home) password() (string, error) {
	password, err := os.ReadFile(h.passwordFile())
	if err != nil {
		return "", fmt.Errorf("localdb: the administrator's password: %w", err)
	}
	return strings.TrimSpace(string(password)), nil
}

// runInitdb creates the cluster in another directory and renames that at the end, so that
// there is never an incomplete cluster.
func (h home) runInitdb(ctx context.Context, bin binaries, volatile bool) error {
	partial := h.data + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	// macOS has no locale C.UTF-8. C with UTF8 has the same order.
	locale := "C"
	if runtime.GOOS == "linux" {
		locale = "C.UTF-8"
	}
	args := []string{
		"--pgdata", partial, "--username", adminRole, "--pwfile", h.passwordFile(),
		"--encoding", "UTF8", "--locale", locale, "--data-checksums",
		"--auth-local", "scram-sha-256", "--auth-host", "scram-sha-256", "--no-instructions",
	}
	if volatile {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.path("initdb"), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = h.dir, childEnvironment(), h.account.attributes()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("localdb: initdb: %w\n%s", err, strings.TrimSpace(output.String()))
	}
	conf, err := os.OpenFile(filepath.Join(partial, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	_, err = conf.WriteString(includeLine)
	if err := errors.Join(err, conf.Close()); err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	if err := os.Rename(partial, h.data); err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	return nil
}

func (h home) writeSettings(volatile bool) error {
	text := settings
	if volatile {
		text += volatileSettings
	}
	return h.account.writeFile(filepath.Join(h.data, settingsFile), []byte(text))
}

// childEnvironment returns an environment without the variables of this process. The user
// of a process can read its environment, and the variables contain secrets.
func childEnvironment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}
