package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"slices"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Fingerprint identifies the result of [Migrate] on an empty database. Two databases
// with the same fingerprint are equal, so one can be a clone of the other.
func Fingerprint(secretKey []byte, sets ...MigrationSet) (string, error) {
	sum := sha256.New()
	queue := riverpgxv5.New(nil).GetMigrationFS(riverdriver.MigrationLineMain)
	problems := []error{addFiles(sum, baseFiles), addFiles(sum, queue)}
	fmt.Fprintf(sum, "%x %s %s\n", secretKey, schemaGrants, queueGrants)
	for _, set := range sets {
		settings := defaultSettings(set.Role)
		maps.Copy(settings, set.Settings)
		fmt.Fprintf(sum, "set %s\n", set.Role)
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			fmt.Fprintf(sum, "%s=%s\n", name, settings[name])
		}
		problems = append(problems, addFiles(sum, set.FS))
	}
	if err := errors.Join(problems...); err != nil {
		return "", fmt.Errorf("postgres: fingerprint: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func addFiles(sum hash.Hash, files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s\n", path, len(text), text)
		return nil
	})
}
