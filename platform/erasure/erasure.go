// Package erasure makes a service erase what is gone for good elsewhere.
//
// Auth decides that a user or an organization is gone, and may call no service
// that keeps something of theirs. So each of these follows auth's feed of erasures
// ([Follower]): every minute it asks for what is new since where it stands, which
// it keeps in its own schema, and erases it. What it erases is erased again for
// some minutes, in case a request that was under way wrote something behind: to
// erase must do no harm when there is nothing left.
package erasure

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

const (
	interval = time.Minute
	// overlap is asked for again each time: transactions end in another order than
	// their times say, and access tokens outlive their user by seconds.
	overlap = 10 * time.Minute
	// pageTimeout bounds what is done for one page, and askTimeout the question.
	pageTimeout = 5 * time.Minute
	askTimeout  = 10 * time.Second
)

// Erasure names what is gone: a user, or an organization.
type Erasure struct {
	ID             string `db:"id"`
	UserID         string
	OrganizationID string
	Time           time.Time `db:"created_at"`
}

// Source answers a page of the erasures since a time, oldest first, and the token of
// the next page; none at the end.
type Source func(ctx context.Context, since time.Time, pageToken string) (found []Erasure, next string, err error)

// Deps is what a follower needs; all of it.
type Deps struct {
	// DB is the service's, with the table erasures_followed.
	DB     *postgres.DB
	Source Source
	// Erase removes what the service keeps of what is gone, in bounded steps. It is
	// called more than once for the same.
	Erase func(ctx context.Context, e Erasure) error
	Clock clock.Clock
	Log   *slog.Logger
}

// Follower erases what auth says is gone.
type Follower struct{ deps Deps }

// NewFollower returns a follower.
func NewFollower(deps Deps) (*Follower, error) {
	if deps.DB == nil || deps.Source == nil || deps.Erase == nil || deps.Clock == nil || deps.Log == nil {
		return nil, errors.New("erasure: every dependency is required")
	}
	return &Follower{deps: deps}, nil
}

// Run follows the feed until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	failing := false
	for {
		err := f.Poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.deps.Log.WarnContext(ctx, "not all that is gone could be erased; it is tried again", "error", err)
		}
		failing = err != nil
		if clock.Sleep(ctx, f.deps.Clock, interval) != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is stopped
		}
	}
}

// Poll erases once what is new. Where that fails for one erasure the others are
// erased all the same, and all are asked for again the next time.
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

// page erases one page, and answers the token of the next.
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
