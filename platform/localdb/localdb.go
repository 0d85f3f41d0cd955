// Package localdb runs a private Postgres cluster for an installation without a database
// URL.
//
// The cluster uses the Postgres binaries of the machine. It is in the data directory, and
// listens on a Unix socket in a directory that no other user may enter. It has no TCP
// port. The administrator's password is generated once and stored next to the data, with
// mode 0600.
//
//	<data dir>/localdb.lock        held while a process owns the cluster
//	<data dir>/postgres/data       PGDATA
//	<data dir>/postgres/password   of the administrator
//	<data dir>/postgres/run        the socket (elsewhere when the path is too long)
//	<data dir>/postgres/log        Postgres' own log, one file per weekday
//
// # Who owns the cluster
//
// One process at a time owns the cluster. It holds the lock of a file, and a second
// process gets its process id ([InUseError]). Postgres runs as a child in its own process
// group, so Ctrl-C reaches only Gatehouse, which drains first and calls [Cluster.Stop]
// last. When Gatehouse is killed, Postgres keeps running. The next Start finds it, checks
// that it is the right one, and adopts it. While Gatehouse runs, [Cluster.Run] restarts a
// Postgres that has ended by itself.
//
// # Root
//
// Postgres refuses to run as root. When Gatehouse runs as root, the cluster runs as the
// user "postgres" or else "nobody". When that user cannot enter the data directory (for
// example a checkout under /root), the cluster is under /var/lib/gatehouse instead, and
// Start logs this.
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
	// adminRole is the superuser of the cluster. Migrations run as this role; services
	// never do.
	adminRole = "gatehouse_admin"
	// databaseName is the one database that Gatehouse uses.
	databaseName = "gatehouse"
)

// Options configure a cluster.
type Options struct {
	// DataDir is Gatehouse's data directory. It is created when it is missing.
	DataDir string
	// BinDir contains the binaries of the Postgres server. When empty, Start searches
	// for them.
	BinDir string
	// Volatile disables durability for speed: a crash may lose all data. It is only for
	// tests.
	Volatile bool
	// Shared is for a cluster of many test processes. The lock is held only during Start,
	// and the cluster keeps running when the process that started it ends.
	Shared bool
	// Log receives messages for operators. Nil discards them.
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

// Start starts the cluster in the data directory when it does not run, and waits until it
// responds. It creates the cluster the first time.
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

// Visit returns the administrator's connection string of a cluster that another process
// runs, for a command. It does not start the cluster or take its lock. The cluster stops
// when its owner does.
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
		return "", fmt.Errorf("localdb: the database under %s does not respond: %w", dataDir, err)
	}
	return at.url(password, databaseName), nil
}

// URL returns the administrator's connection string. It contains the password.
func (c *Cluster) URL() string { return c.url }

// PID returns the process id of the postmaster.
func (c *Cluster) PID() int { return c.current().pid }

// Stop shuts the cluster down (it closes open connections and rolls transactions back)
// and releases the lock. When ctx ends first, Postgres quits at once and recovers on its
// next start.
func (c *Cluster) Stop(ctx context.Context) error {
	return errors.Join(c.current().stop(ctx), c.lock.Release())
}

// url returns a connection string for the cluster's socket, with the administrator's
// password.
func (h home) url(password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(adminRole, password),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {h.socketDir}, "port": {"5432"}}.Encode(),
	}
	return u.String()
}

// prepareDataDir creates the data directory. Another user of Postgres must be able to
// enter it. No other user may list it.
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
