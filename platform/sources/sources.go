// Package sources makes the cached result of a test depend on every source file.
//
// Go caches the result of a test until its package, its environment or a file that it opened
// in its module changes. A test that builds programs or reads files of other modules depends
// on more. Such a test calls [Depend]. `make test` sets GATEHOUSE_TEST_SOURCES to a hash of
// all source files, and Go includes every variable that a test reads in the key of its result.
package sources

import "os"

// Variable is the name of the variable with the hash.
const Variable = "GATEHOUSE_TEST_SOURCES"

// Depend reads the variable. Without it, as in a plain go test, use -count=1 after a change
// outside of the test's module.
func Depend() { _ = os.Getenv(Variable) } //nolint:forbidigo // no setting: only Go's cache of test results uses it
