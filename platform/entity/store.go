package entity

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Store keeps the resources of one kind in Postgres. A room embeds it and adds its own
// queries.
type Store[T any] struct {
	DB     *postgres.DB
	tokens *paging.Tokens
	kind   Kind[T]
}

// NewStore returns a store.
func NewStore[T any](db *postgres.DB, tokens *paging.Tokens, kind Kind[T]) Store[T] {
	return Store[T]{DB: db, tokens: tokens, kind: kind}
}

// InTx runs fn in a transaction of an organization.
func (s Store[T]) InTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return s.DB.InTx(ctx, postgres.Scope{OrganizationID: organizationID}, fn)
}

// Get returns a resource of an organization, or NOT_FOUND.
func (s Store[T]) Get(ctx context.Context, organizationID, id string) (T, error) {
	found, err := s.kind.Table.Get(ctx, s.DB, postgres.Scope{OrganizationID: organizationID}, organizationID, id)
	return found, postgres.NotFound(err, s.kind.Noun())
}

// Lock returns a resource, or NOT_FOUND, and locks its row until the transaction ends.
func (s Store[T]) Lock(ctx context.Context, tx pgx.Tx, organizationID, id string) (T, error) {
	found, err := s.kind.Table.Lock(ctx, tx, organizationID, id)
	return found, postgres.NotFound(err, s.kind.Noun())
}

// Count returns the number of an organization's resources.
func (s Store[T]) Count(ctx context.Context, tx pgx.Tx, organizationID string) (int, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[int], "SELECT count(*) FROM "+s.kind.Table.Name()+" WHERE organization_id = $1", organizationID)
}

// Insert adds a resource.
func (s Store[T]) Insert(ctx context.Context, tx pgx.Tx, of T) error {
	return s.kind.Table.Insert(ctx, tx, of)
}

// Update writes a resource back.
func (s Store[T]) Update(ctx context.Context, tx pgx.Tx, of T) error {
	return s.kind.Table.Update(ctx, tx, of)
}

// Delete deletes a resource.
func (s Store[T]) Delete(ctx context.Context, tx pgx.Tx, of T) error {
	return s.kind.Table.Delete(ctx, tx, of)
}

// Page returns a page of an organization's resources and the token of the next one. The
// condition is SQL with parameters from $2; it may be empty.
func (s Store[T]) Page(ctx context.Context, organizationID string, req paging.Request, condition string, args ...any) ([]T, string, error) {
	where := " WHERE organization_id = $1"
	if condition != "" {
		where += " AND " + condition
	}
	return paging.Read(ctx, s.DB, postgres.Scope{OrganizationID: organizationID}, paging.Query[T]{
		List: s.kind.List, Tokens: s.tokens, Request: req, Table: s.kind.Table,
		SQL: s.kind.Table.Select() + where, Args: append([]any{organizationID}, args...),
	})
}
