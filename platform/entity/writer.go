package entity

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
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
		return w.Record(ctx, tx, of, "created", w.kind.difference(none, of))
	})
	return of, err
}

// Change describes the change of one resource.
type Change[T any] struct {
	// ID names the resource. Etag is the state that the client read; empty accepts any.
	ID, Etag string
	// Verb is what the audit trail says was done: "updated".
	Verb string
	// Begin runs first in the transaction, when it is set.
	Begin func(ctx context.Context, tx postgres.Tx) error
	// Check runs before the etag is compared, when it is set: a resource that counts as
	// deleted has no etag.
	Check Step[T]
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
		before, err := w.locked(ctx, tx, organizationID, subject[T]{c.ID, c.Etag, c.Begin, c.Check})
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
	// ID, Etag, Begin and Check are those of [Change].
	ID, Etag string
	Begin    func(ctx context.Context, tx postgres.Tx) error
	Check    Step[T]
	// Before runs before the row is deleted, when it is set. The changes that it returns
	// are added to the audit trail.
	Before func(ctx context.Context, tx postgres.Tx, of T) (map[string]audit.Change, error)
	// Then writes what depends on the deletion, when it is set.
	Then Step[T]
}

// Delete locks a resource, compares its etag and deletes it.
func (w *Writer[T]) Delete(ctx context.Context, organizationID string, r Removal[T]) error {
	return w.deps.Rows.InTx(ctx, organizationID, func(ctx context.Context, tx postgres.Tx) error {
		of, err := w.locked(ctx, tx, organizationID, subject[T]{r.ID, r.Etag, r.Begin, r.Check})
		if err != nil {
			return err
		}
		var none T
		changes := w.kind.difference(of, none)
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

// subject is the resource of a write, and what must hold of it.
type subject[T any] struct {
	id, etag string
	begin    func(ctx context.Context, tx postgres.Tx) error
	check    Step[T]
}

// locked returns a resource in the state that the client read, and locks its row.
func (w *Writer[T]) locked(ctx context.Context, tx postgres.Tx, organizationID string, s subject[T]) (T, error) {
	if s.begin != nil {
		if err := s.begin(ctx, tx); err != nil {
			var none T
			return none, err
		}
	}
	of, err := w.deps.Rows.Lock(ctx, tx, organizationID, s.id)
	if err != nil {
		return of, err
	}
	if s.check != nil {
		if err := s.check(ctx, tx, of); err != nil {
			return of, err
		}
	}
	return of, fault.CheckEtag(w.kind.Noun(), s.etag, meta(&of).Etag())
}

// AtMost returns a step of [Writer.Create] that refuses a resource when its organization has
// that many. The caller makes sure that no other transaction adds one after the count.
func (w *Writer[T]) AtMost(most int, count func(ctx context.Context, tx postgres.Tx, organizationID string) (int, error)) Step[T] {
	return func(ctx context.Context, tx postgres.Tx, of T) error {
		n, err := count(ctx, tx, meta(&of).OrganizationID)
		if err == nil && n >= most {
			return fault.New(faultv1.Reason_REASON_CONFLICT, "the organization has %d %s: delete one first", n, w.kind.nouns())
		}
		return err
	}
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
