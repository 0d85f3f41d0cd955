// Package rules has tests of what the whole repository must hold and no linter checks: the
// shape of a room, the words that we write, and the security checks. Which package may
// import which is in .golangci.yml.
package rules_test

const root = "../../.."
