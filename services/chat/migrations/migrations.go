// Package migrations holds the schema of the chat service.
//
// The files are numbered and applied in that order, each once. What one of them
// has created on a database of somebody's is never edited: a later file alters
// it.
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

// Set returns the service's migrations, with the settings that its vector
// search relies on. A cached generic plan, or an index scan that stops before it
// has enough of the organization's rows, would find too little and say nothing.
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
