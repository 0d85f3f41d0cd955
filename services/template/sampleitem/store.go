package sampleitem

import (
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps sample items in Postgres.
type store struct{ entity.Store[SampleItem] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}
