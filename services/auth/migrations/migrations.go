// Package migrations holds the schema of the auth service: users, the
// organizations they belong to, their sessions, and the keys that sign tokens.
//
// Row level security gives a transaction two views. With an organization in its
// scope it sees that organization, its memberships, members and sessions. With
// a user in its scope it sees that user, and the organizations the user belongs
// to. What has to be answered before either is known (an address at sign-in, a
// refresh token) goes through functions that answer that one question.
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
