package localdb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// systemHome contains the clusters of data directories that the user of Postgres
	// cannot enter.
	systemHome = "/var/lib/gatehouse"
	// maxSocketDir is the longest path of the socket's directory. The path of a Unix
	// socket has at most 107 bytes (103 on macOS), and Postgres appends
	// "/.s.PGSQL.5432.lock".
	maxSocketDir = 103 - len("/.s.PGSQL.5432.lock")
)

// home contains the directories of a cluster.
type home struct {
	account   *account
	dir       string // contains data, password and log
	data      string // PGDATA
	socketDir string
	logDir    string
}

// locateHome chooses the directories of the cluster of a data directory, and creates
// those around PGDATA.
func locateHome(dataDir string, account *account, log *slog.Logger) (home, error) {
	sum := sha256.Sum256([]byte(dataDir))
	hash := hex.EncodeToString(sum[:6])

	dir := filepath.Join(dataDir, "postgres")
	if !account.canReach(dataDir) {
		if err := os.MkdirAll(systemHome, 0o711); err != nil {
			return home{}, fmt.Errorf("localdb: %w", err)
		}
		dir = filepath.Join(systemHome, hash)
		log.Info("the local database is outside the data directory, because its user cannot enter it",
			"path", dir, "user", account.name)
	}
	h := home{
		account: account, dir: dir,
		data:      filepath.Join(dir, "data"),
		logDir:    filepath.Join(dir, "log"),
		socketDir: filepath.Join(dir, "run"),
	}
	if len(h.socketDir) > maxSocketDir {
		h.socketDir = filepath.Join(os.TempDir(), fmt.Sprintf("gatehouse-%d-%s", account.uid, hash))
	}
	for _, d := range []string{h.dir, h.logDir, h.socketDir} {
		if err := account.mkdir(d); err != nil {
			return home{}, err
		}
	}
	return h, nil
}

func (h home) passwordFile() string { return filepath.Join(h.dir, "password") }
func (h home) startLog() string     { return filepath.Join(h.logDir, "start.log") }

// majorVersion returns the major version of the Postgres that created the cluster, or 0
// when there is no cluster yet. Another major version cannot open it.
func (h home) majorVersion() int {
	text, err := os.ReadFile(filepath.Join(h.data, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return major
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func parentOf(dir string) string { return filepath.Dir(dir) }
