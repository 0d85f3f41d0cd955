// Package room defines what the rooms of a service have in common.
//
// A room is one package of a service: it serves the RPCs of one contract and owns the
// tables behind them. A service lists its rooms once. Registration of RPCs, erasure,
// periodic deletion and background work follow from that list:
//
//	rooms := room.List{assistants, prompts}
//	rooms.Register(server)
//	rooms.Sweep(ctx)
//	rooms.Run(ctx)
//
// A room implements [Room], and [Sweeper], [Runner] or [Eraser] where it has such work.
package room

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Room is one room of a service.
type Room interface {
	// Register adds the room's RPCs to a server.
	Register(server grpc.ServiceRegistrar)
	// Tables returns the tables that the room owns, in the order in which the rows of an
	// organization can be deleted. No two rooms own the same table.
	Tables() []Table
}

// Table is a table of a room.
type Table struct {
	// Name is the name of the table without its schema.
	Name string
	// Batch is the number of an organization's rows that one statement deletes when the
	// organization is erased. It is smaller for a table whose rows delete many others
	// with them. 0 means that erasing an organization does not delete from this table:
	// another table's rows delete them, the room's own Erase does, or they are no
	// organization's. Any other table has the key (organization_id, id).
	Batch int64
}

// Sweep is a task that deletes expired rows.
type Sweep struct {
	// Name says what it deletes, for the log: "delete expired links".
	Name string
	// Do deletes a bounded number of rows in each transaction until none is left.
	Do func(ctx context.Context) error
}

// Sweeper is a room with rows that expire.
type Sweeper interface {
	Sweeps() []Sweep
}

// Runner is a room with background work.
type Runner interface {
	// Run works until ctx ends.
	Run(ctx context.Context) error
}

// Eraser is a room with rows to erase that Tables cannot describe, such as those of one
// user.
type Eraser interface {
	// Erase deletes the rows of an erased user or organization in bounded steps. It is
	// called several times for the same erasure.
	Erase(ctx context.Context, e erasure.Erasure) error
}

// List is the rooms of a service.
type List []Room

// Register adds the RPCs of every room to a server.
func (l List) Register(server grpc.ServiceRegistrar) {
	for _, r := range l {
		r.Register(server)
	}
}

// Tables returns the tables of every room.
func (l List) Tables() []Table {
	var out []Table
	for _, r := range l {
		out = append(out, r.Tables()...)
	}
	return out
}

// Sweeps returns the sweeps of every room that has some.
func (l List) Sweeps() []Sweep {
	var out []Sweep
	for _, r := range l {
		if s, ok := r.(Sweeper); ok {
			out = append(out, s.Sweeps()...)
		}
	}
	return out
}

// Sweep runs every sweep once. One that fails does not stop the others.
func (l List) Sweep(ctx context.Context) error {
	var failures []error
	for _, s := range l.Sweeps() {
		if err := s.Do(ctx); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(failures...)
}

// Run runs the background work of every room, and that of the other runners, until ctx
// ends or one fails. It returns when all have returned.
func (l List) Run(ctx context.Context, others ...Runner) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, runner := range others {
		group.Go(func() error { return runner.Run(groupCtx) })
	}
	for _, r := range l {
		if runner, ok := r.(Runner); ok {
			group.Go(func() error { return runner.Run(groupCtx) })
		}
	}
	return group.Wait()
}

// Erase returns the function that a service's [erasure.Follower] calls. It runs every
// [Eraser] and then deletes an organization's rows from the tables of the rooms. The last
// room comes first: a room may refer to the rows of the rooms before it.
func (l List) Erase(db *postgres.DB) func(ctx context.Context, e erasure.Erasure) error {
	return func(ctx context.Context, e erasure.Erasure) error {
		for _, r := range slices.Backward(l) {
			if eraser, ok := r.(Eraser); ok {
				if err := eraser.Erase(ctx, e); err != nil {
					return err
				}
			}
			if e.OrganizationID == "" {
				continue
			}
			if err := erasure.Organization(ctx, db, e.OrganizationID, erasable(r)...); err != nil {
				return err
			}
		}
		return nil
	}
}

// erasable returns the tables of a room from which erasing an organization deletes.
func erasable(r Room) []erasure.Table {
	var out []erasure.Table
	for _, t := range r.Tables() {
		if t.Batch > 0 {
			out = append(out, erasure.Table(t))
		}
	}
	return out
}
