// Package erasure makes a service erase the data of deleted users and organizations.
//
// Auth deletes users and organizations, and must not call the services that store data
// of them. So each of these services follows auth's feed of erasures ([Follower]). Every
// minute it requests the erasures since its position, which it stores in its own schema,
// and erases the data. It erases the same data again for some minutes, because a request
// that was running at the time may have written rows later. So erasing must succeed when
// there is nothing left.
package erasure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	interval = time.Minute
	// overlap is the period that each request repeats: transactions commit in another
	// order than their times, and access tokens are valid for seconds after the deletion
	// of their user.
	overlap = 10 * time.Minute
	// pageTimeout bounds the work for one page, and askTimeout the request for it.
	pageTimeout = 5 * time.Minute
	askTimeout  = 10 * time.Second
)

// Erasure names a deleted user or organization.
type Erasure struct {
	ID             string `db:"id"`
	UserID         string
	OrganizationID string
	Time           time.Time `db:"created_at"`
}

// Source returns a page of the erasures since a time, oldest first, and the token of
// the next page, which is empty at the end.
type Source func(ctx context.Context, since time.Time, pageToken string) (found []Erasure, next string, err error)

// Deps are the dependencies of a follower.
type Deps struct {
	// DB is the database of the service, with the table erasures_followed.
	DB     *postgres.DB
	Source Source
	// Erase deletes the service's data of the user or organization, in bounded steps.
	// It is called more than once for the same erasure.
	Erase func(ctx context.Context, e Erasure) error
	Clock clock.Clock
	Log   *slog.Logger
}

// Follower erases the data of the users and organizations in auth's feed.
type Follower struct{ deps Deps }

// NewFollower returns a follower.
func NewFollower(d Deps) (*Follower, error) {
	if err := deps.Check("erasure", d); err != nil {
		return nil, err
	}
	return &Follower{deps: d}, nil
}

// Run follows the feed until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	failing := false
	for {
		err := f.Poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.deps.Log.WarnContext(ctx, "an erasure failed and will be retried", "error", err)
		}
		failing = err != nil
		if clock.Sleep(ctx, f.deps.Clock, interval) != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is stopped
		}
	}
}

// Poll requests the new erasures once and carries them out. When one fails, it continues
// with the others, and the next Poll requests all of them again.
func (f *Follower) Poll(ctx context.Context) error {
	reached := clock.Stamp(f.deps.Clock)
	followed, err := load(ctx, f.deps.DB)
	if err != nil {
		return err
	}
	var failures []error
	for token, first := "", true; first || token != ""; first = false {
		if token, err = f.page(ctx, followed.Add(-overlap), token); err != nil {
			failures = append(failures, err)
		}
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return save(ctx, f.deps.DB, reached)
}

// page carries out the erasures of one page, and returns the token of the next.
func (f *Follower) page(ctx context.Context, since time.Time, token string) (next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	asking, asked := context.WithTimeout(ctx, askTimeout)
	found, next, err := f.deps.Source(asking, since, token)
	asked()
	failures := []error{err}
	for _, e := range found {
		failures = append(failures, f.deps.Erase(ctx, e))
	}
	return next, errors.Join(failures...)
}
