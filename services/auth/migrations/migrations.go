// Package migrations has the schema of the auth service: users, organizations,
// sessions, and the keys that sign tokens.
//
// Row level security gives a transaction two views. With an organization in its scope,
// it sees that organization, its memberships, members and sessions. With a user in its
// scope, it sees that user and the user's organizations. What must be read before
// either is known (an address at sign-in, a refresh token) is read by functions that
// return only that.
package migrations

import (
	"embed"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Role is the database role of the service, and the name of its schema.
const Role postgres.Role = "auth"

//go:embed *.sql
var files embed.FS

// Set returns the service's migrations.
func Set() postgres.MigrationSet { return postgres.MigrationSet{Role: Role, FS: files} }
