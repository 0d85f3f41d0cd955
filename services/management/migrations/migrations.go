// Package migrations holds the schema of the management service.
package migrations

import (
	"embed"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Role is the database role of the service, and the name of its schema.
const Role postgres.Role = "management"

//go:embed *.sql
var files embed.FS

// Set returns the service's migrations.
func Set() postgres.MigrationSet { return postgres.MigrationSet{Role: Role, FS: files} }
