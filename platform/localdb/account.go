package localdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user of the operating system as which Postgres runs.
type account struct {
	name     string
	uid, gid int
	// dropped reports whether the account differs from the user of this process.
	dropped bool
}

func runAs() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{name: "uid " + strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return &account{name: name, uid: uid, gid: gid, dropped: true}, nil
		}
	}
	return nil, errors.New("localdb: Postgres cannot run as root, and there is neither a user postgres nor a user nobody: start Gatehouse as another user, or set a database URL")
}

// attributes returns the attributes of a child that runs as the account. It has its own
// process group, so that a terminal's Ctrl-C does not reach it.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.dropped {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // ids of the user database
	}
	return attr
}

// mkdir ensures that dir is a directory that belongs to the account and that no other
// user may enter. It refuses a directory of another user, or a link, because its owner
// could replace the server behind the socket.
func (a *account) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("localdb: %w", err)
	}
	if err == nil && a.dropped {
		if err := os.Lchown(dir, a.uid, a.gid); err != nil {
			return fmt.Errorf("localdb: %w", err)
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != a.uid {
		return fmt.Errorf("localdb: %s is not a directory that belongs to %s", dir, a.name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("localdb: %w", err)
		}
	}
	return nil
}

// writeFile writes a file, mode 0600, that the account may read.
func (a *account) writeFile(path string, content []byte) error {
	partial := path + ".partial"
	// Exclusive creation follows no link. Otherwise the account could create a link that
	// makes root write another file.
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("localdb: %w", err)
	}
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	if a.dropped {
		if err := os.Lchown(partial, a.uid, a.gid); err != nil {
			return fmt.Errorf("localdb: %w", err)
		}
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	return nil
}

// canReach reports whether the account can enter dir and all its parents.
func (a *account) canReach(dir string) bool {
	if !a.dropped {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		execute := os.FileMode(0o001)
		switch {
		case int(stat.Uid) == a.uid:
			execute = 0o100
		case int(stat.Gid) == a.gid:
			execute = 0o010
		}
		if info.Mode().Perm()&execute == 0 {
			return false
		}
		parent := parentOf(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
