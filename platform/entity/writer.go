package entity

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Rows is what a writer needs of a room's store. [Store] has it.
type Rows[T any] interface {
	InTx(ctx context.Context, organizationID string, fn func(ctx context.Context, tx postgres.Tx) error) error
	Lock(ctx context.Context, tx postgres.Tx, organizationID, id string) (T, error)
	Insert(ctx context.Context, tx postgres.Tx, of T) error
	Update(ctx context.Context, tx postgres.Tx, of T) error
	Delete(ctx context.Context, tx postgres.Tx, of T) error
}

// WriterDeps is what a writer needs.
type WriterDeps[T any] struct {
	Rows  Rows[T]
	Trail *audit.Trail
	Clock clock.Clock
}

// Writer writes resources. Each method is one transaction: the row, what depends on it
// and the row in the audit trail are written together or not at all.
type Writer[T any] struct {
	kind Kind[T]
	deps WriterDeps[T]
}

// NewWriter returns a writer.
func NewWriter[T any](kind Kind[T], d WriterDeps[T]) (*Writer[T], error) {
	if err := deps.Check(kind.Type, d); err != nil {
		return nil, err
	}
	return &Writer[T]{kind: kind, deps: d}, nil
}

// Step is a part of a write. It runs in its transaction.
type Step[T any] func(ctx context.Context, tx postgres.Tx, of T) error

// Create stores a new resource of an organization with a new id, and returns it. The
// steps run before the insert, to check rights and limits.
func (w *Writer[T]) Create(ctx context.Context, organizationID string, of T, before ...Step[T]) (T, error) {
	now := clock.Stamp(w.deps.Clock)
	*meta(&of) = Meta{OrganizationID: organizationID, ID: id.New(), Revision: 1, CreateTime: now, UpdateTime: now}
	err := w.deps.Rows.InTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		for _, step := range before {
			if err := step(ctx, tx, of); err != nil {
				return err
			}
		}
		if err := w.deps.Rows.Insert(ctx, tx, of); err != nil {
			return err
		}
		var none T
		return w.Record(ctx, tx, of, "created", w.kind.Fields.Changes(none, of))
	})
	return of, err
}

// Change describes the change of one resource.
type Change[T any] struct {
	// ID names the resource. Etag is the state that the client read; empty accepts any.
	ID, Etag string
	// Verb is what the audit trail says was done: "updated".
	Verb string
	// Check runs before the etag is compared, when it is set: a resource that counts as
	// deleted has no etag.
	Check func(before T) error
	// Edit returns the changed resource.
	Edit func(ctx context.Context, tx postgres.Tx, before T) (T, error)
	// Then writes what depends on the change, when it is set.
	Then func(ctx context.Context, tx postgres.Tx, before, after T) error
}

// Change locks a resource, compares its etag, edits it, raises its revision and writes it
// back. It returns the changed resource.
func (w *Writer[T]) Change(ctx context.Context, organizationID string, c Change[T]) (T, error) {
	var after T
	err := w.deps.Rows.InTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		before, err := w.locked(ctx, tx, organizationID, c.ID, c.Etag, c.Check)
		if err != nil {
			return err
		}
		if after, err = c.Edit(ctx, tx, before); err != nil {
			return err
		}
		m := meta(&after)
		m.Revision, m.UpdateTime = meta(&before).Revision+1, clock.Stamp(w.deps.Clock)
		if err := w.deps.Rows.Update(ctx, tx, after); err != nil {
			return err
		}
		if c.Then != nil {
			if err := c.Then(ctx, tx, before, after); err != nil {
				return err
			}
		}
		return w.Record(ctx, tx, after, c.Verb, w.kind.Fields.Changes(before, after))
	})
	return after, err
}

// Removal describes the deletion of one resource.
type Removal[T any] struct {
	// ID and Etag are those of [Change].
	ID, Etag string
	// Before runs before the row is deleted, when it is set. The changes that it returns
	// are added to the audit trail.
	Before func(ctx context.Context, tx postgres.Tx, of T) (map[string]audit.Change, error)
	// Then writes what depends on the deletion, when it is set.
	Then Step[T]
}

// Delete locks a resource, compares its etag and deletes it.
func (w *Writer[T]) Delete(ctx context.Context, organizationID string, r Removal[T]) error {
	return w.deps.Rows.InTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		of, err := w.locked(ctx, tx, organizationID, r.ID, r.Etag, nil)
		if err != nil {
			return err
		}
		var none T
		changes := w.kind.Fields.Changes(of, none)
		if r.Before != nil {
			added, err := r.Before(ctx, tx, of)
			if err != nil {
				return err
			}
			for name, change := range added {
				changes[name] = change
			}
		}
		if err := w.deps.Rows.Delete(ctx, tx, of); err != nil {
			return err
		}
		if r.Then != nil {
			if err := r.Then(ctx, tx, of); err != nil {
				return err
			}
		}
		return w.Record(ctx, tx, of, "deleted", changes)
	})
}

// locked returns a resource in the state that the client read, and locks its row.
func (w *Writer[T]) locked(ctx context.Context, tx postgres.Tx, organizationID, resourceID, etag string, check func(T) error) (T, error) {
	of, err := w.deps.Rows.Lock(ctx, tx, organizationID, resourceID)
	if err != nil {
		return of, err
	}
	if check != nil {
		if err := check(of); err != nil {
			return of, err
		}
	}
	return of, fault.CheckEtag(w.kind.Noun(), etag, meta(&of).Etag())
}

// Record adds a row to the audit trail, for a write that none of the other methods does.
func (w *Writer[T]) Record(ctx context.Context, tx postgres.Tx, of T, verb string, changes map[string]audit.Change) error {
	m := meta(&of)
	return w.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: m.OrganizationID,
		Action:         w.kind.Service + "." + w.kind.Type + "." + verb,
		ResourceType:   w.kind.Type,
		ResourceID:     m.ID,
		Changes:        changes,
	})
}
