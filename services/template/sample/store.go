package sample

import (
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// store keeps samples in Postgres.
type store struct{ entity.Store[Sample] }

func newStore(db *postgres.DB, tokens *paging.Tokens) store {
	return store{entity.NewStore(db, tokens, kind)}
}
