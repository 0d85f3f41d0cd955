// Package migrations contains the schema of the chat service.
//
// The files are applied in the order of their numbers, each once. A file is never edited
// after it was released: a later file changes what it has created.
package migrations

import (
	"embed"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Role is the database role of the service, and the name of its schema.
const Role postgres.Role = "chat"

// Dimensions is the length of the vectors that the schema stores.
const Dimensions = 384

//go:embed *.sql
var files embed.FS

// Set returns the service's migrations, with the settings that its vector search needs. With
// a cached generic plan, or with an index scan that stops before it has enough rows of the
// organization, a search would silently find too few results.
func Set() postgres.MigrationSet {
	return postgres.MigrationSet{
		Role: Role,
		FS:   files,
		Settings: map[string]string{
			"plan_cache_mode":     "force_custom_plan",
			"hnsw.iterative_scan": "relaxed_order",
			"hnsw.ef_search":      "100",
			"jit":                 "off",
		},
	}
}
