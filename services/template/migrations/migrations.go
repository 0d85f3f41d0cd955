// Package migrations has the schema of the template room, for its tests.
package migrations

import (
	"embed"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Role is the database role of the tests, and the name of their schema.
const Role postgres.Role = "template"

//go:embed *.sql
var files embed.FS

// Set returns the service's migrations.
func Set() postgres.MigrationSet { return postgres.MigrationSet{Role: Role, FS: files} }
