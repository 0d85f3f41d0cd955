// Package localdb keeps a private Postgres cluster for a Gatehouse that was
// given no database URL.
//
// The cluster is made from the machine's own Postgres binaries, lives under the
// data directory, and listens on a Unix socket in a directory that nobody else
// may enter; there is no TCP port. Its administrator's password is generated
// once and kept beside the data, mode 0600.
//
//	<data dir>/localdb.lock        held while a process owns the cluster
//	<data dir>/postgres/data       PGDATA
//	<data dir>/postgres/password   of the administrator
//	<data dir>/postgres/run        the socket (elsewhere when the path is too long)
//	<data dir>/postgres/log        Postgres' own log, one file per weekday
//
// # Who owns the cluster
//
// One process at a time: it holds the lock file, and a second one is told its
// process id ([InUseError]). Postgres runs as a child in a process group of its
// own, so Ctrl-C reaches Gatehouse alone, which drains first and calls
// [Cluster.Stop] last. When Gatehouse is killed and cannot do that, Postgres
// lives on; the next Start finds it, makes sure that it is the right one, and
// adopts it. While Gatehouse runs, [Cluster.Run] restarts a Postgres that has
// ended by itself.
//
// # Root
//
// Postgres refuses to run as root. When Gatehouse does, the cluster runs as the
// user "postgres" or else "nobody". Where that user cannot reach the data
// directory (a checkout under /root, say), the cluster lives under
// /var/lib/gatehouse instead, and Start says so.
package localdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/gatehouse/gatehouse/platform/filelock"
)

const (
	// adminRole is the cluster's superuser: migrations run as it, services never.
	adminRole = "gatehouse_admin"
	// databaseName is the one database that Gatehouse uses.
	databaseName = "gatehouse"
)

// Options say which cluster to start.
type Options struct {
	// DataDir is Gatehouse's data directory; it is created when absent.
	DataDir string
	// BinDir holds Postgres' server binaries. Empty: they are looked for.
	BinDir string
	// Volatile gives up durability for speed: a crash may lose everything. For
	// tests alone.
	Volatile bool
	// Shared is for the cluster that many test processes use in turn: the lock
	// is held during Start alone, and the cluster outlives its starter.
	Shared bool
	// Log receives what a person should know. Nil discards it.
	Log *slog.Logger
}

// Cluster is a running Postgres.
type Cluster struct {
	home     home
	bin      binaries
	password string
	lock     *filelock.Lock
	log      *slog.Logger
	url      string

	mu     sync.Mutex
	server *server // replaced by restart
}

// Start makes sure that the cluster under the data directory runs, creating it
// at first, and waits until it answers.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	account, err := runAs()
	if err != nil {
		return nil, err
	}
	dataDir, err := prepareDataDir(opts.DataDir, account)
	if err != nil {
		return nil, err
	}
	held, err := acquireLock(ctx, dataDir, opts.Shared)
	if err != nil {
		return nil, err
	}
	cluster, err := startLocked(ctx, dataDir, account, opts, log)
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	cluster.lock = held
	if opts.Shared {
		if err := held.Release(); err != nil {
			return nil, err
		}
	}
	return cluster, nil
}

func startLocked(ctx context.Context, dataDir string, account *account, opts Options, log *slog.Logger) (*Cluster, error) {
	at, err := locateHome(dataDir, account, log)
	if err != nil {
		return nil, err
	}
	bin, err := findBinaries(ctx, opts.BinDir, at.majorVersion())
	if err != nil {
		return nil, err
	}
	password, err := at.initialize(ctx, bin, opts.Volatile, log)
	if err != nil {
		return nil, err
	}
	if err := at.writeSettings(opts.Volatile); err != nil {
		return nil, err
	}
	c := &Cluster{home: at, bin: bin, password: password, log: log, url: at.url(password, databaseName)}
	c.server, err = startServer(ctx, at, bin, password, log)
	if err != nil {
		return nil, err
	}
	if err := prepareDatabase(ctx, at, password); err != nil {
		return nil, errors.Join(err, c.server.stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Visit returns the administrator's connection string of a cluster that another
// process runs, for a command beside it. It starts nothing and holds nothing: the
// cluster stops when its owner does.
func Visit(ctx context.Context, opts Options) (string, error) {
	account, err := runAs()
	if err != nil {
		return "", err
	}
	dataDir, err := filepath.Abs(opts.DataDir)
	if err != nil {
		return "", fmt.Errorf("localdb: data directory: %w", err)
	}
	at, err := locateHome(dataDir, account, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	password, err := at.password()
	if err != nil {
		return "", err
	}
	if err := probe(ctx, at, password); err != nil {
		return "", fmt.Errorf("localdb: the database under %s does not answer: %w", dataDir, err)
	}
	return at.url(password, databaseName), nil
}

// URL returns the administrator's connection string. It holds the password.
func (c *Cluster) URL() string { return c.url }

// PID returns the process id of the postmaster.
func (c *Cluster) PID() int { return c.current().pid }

// Stop shuts the cluster down (open connections are broken off, transactions
// rolled back) and gives up the lock. When ctx ends first, Postgres is told to
// quit at once; it then recovers on its next start.
func (c *Cluster) Stop(ctx context.Context) error {
	return errors.Join(c.current().stop(ctx), c.lock.Release())
}

// url points at the cluster's socket; the password is the administrator's.
func (h home) url(password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(adminRole, password),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {h.socketDir}, "port": {"5432"}}.Encode(),
	}
	return u.String()
}

// prepareDataDir creates the data directory. Postgres' own user must be able to
// pass through it when that is not us, and nobody may list it.
func prepareDataDir(dir string, account *account) (string, error) {
	if dir == "" {
		return "", errors.New("localdb: no data directory given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("localdb: data directory: %w", err)
	}
	if _, err := os.Stat(abs); err == nil {
		return abs, nil
	}
	mode := os.FileMode(0o700)
	if account.dropped {
		mode = 0o711
	}
	if err := os.MkdirAll(abs, mode); err != nil {
		return "", fmt.Errorf("localdb: data directory: %w", err)
	}
	return abs, nil
}
