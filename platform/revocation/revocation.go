// Package revocation makes access tokens lose their force before they expire.
//
// Access tokens are verified offline, so a service would believe one for its
// whole life, whatever happened to its session or its user meanwhile. Each
// process therefore follows auth's feed of revocations ([Feed.Run]): it asks
// every second for what is new, and keeps what concerns tokens that may still
// be alive. A revocation so takes effect within two seconds, also for streams
// that are open ([Feed.Watch]), and needs no announcement that could be lost.
//
// A process that has not heard of revocations yet, or not for [MaxAge], refuses
// with UNAVAILABLE: a check that could not be made is never passed.
package revocation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// PageSize is the number of revocations in a page. One change may revoke the tokens of
// thousands of users, and a feed requests the last seconds again every second.
const PageSize = 5000

const (
	// MaxAge is how old what is known of revocations may be: auth may be down for
	// as long before others refuse too.
	MaxAge = time.Minute
	// Lifetime is how long a revocation matters: an access token's life, and how
	// far clocks may differ.
	Lifetime = 20 * time.Minute

	interval = time.Second
	// overlap is asked for again each time, since transactions end in another
	// order than their times say, up to 30 s later, and the clock here may be 30 s
	// ahead of auth's.
	overlap     = time.Minute
	pollTimeout = 5 * time.Second
	firstWait   = 3 * time.Second
)

// Revocation takes the force from the tokens of a session; or from those of a user,
// of an organization, of a user in an organization, or of an OAuth client, that were
// issued up to its time.
type Revocation struct {
	ID        string `db:"id"`
	SessionID string
	UserID    string
	// OrganizationID narrows a revocation; empty means everywhere.
	OrganizationID string
	ClientID       string
	Time           time.Time `db:"created_at"`
}

// Source lists what was revoked since a time.
type Source func(ctx context.Context, since time.Time) ([]Revocation, error)

// Feed is what a process knows of revocations. It is safe for concurrent use.
type Feed struct {
	source Source
	clock  clock.Clock
	log    *slog.Logger
	loaded chan struct{} // closed when something is known

	mu       sync.RWMutex
	heard    time.Time
	seen     map[string]time.Time // by id, with the revocation's time
	cutoffs  map[subject]time.Time
	watchers map[*watcher]struct{}
}

// subject is whose tokens are meant; fields that say nothing are empty.
type subject struct{ sessionID, userID, organizationID, clientID string }

type watcher struct {
	principal *identity.Principal
	revoked   func()
}

// NewFeed returns a feed that knows nothing yet.
func NewFeed(source Source, clk clock.Clock, log *slog.Logger) *Feed {
	return &Feed{
		source: source, clock: clk, log: log, loaded: make(chan struct{}),
		seen: map[string]time.Time{}, cutoffs: map[subject]time.Time{}, watchers: map[*watcher]struct{}{},
	}
}

// Run follows the feed until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	failing := false
	for {
		err := f.Poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.log.WarnContext(ctx, "revocations cannot be read", "error", err)
		}
		failing = err != nil
		if clock.Sleep(ctx, f.clock, interval) != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is stopped
		}
	}
}

// Poll asks once for what is new.
func (f *Feed) Poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	now := f.clock.Now()
	found, err := f.source(ctx, f.since(now))
	if err != nil {
		return err
	}
	for _, w := range f.learn(now, found) {
		w.revoked()
	}
	return nil
}

func (f *Feed) since(now time.Time) time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.heard.IsZero() {
		return now.Add(-Lifetime)
	}
	return f.heard.Add(-overlap)
}

// learn takes in what was found at a time, and returns the watchers whose tokens
// have lost their force by it.
func (f *Feed) learn(now time.Time, found []Revocation) []*watcher {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard.IsZero() {
		close(f.loaded)
	}
	f.heard = now
	news := false
	for _, r := range found {
		if _, known := f.seen[r.ID]; known {
			continue
		}
		news = true
		f.seen[r.ID] = r.Time
		s := subject{sessionID: r.SessionID, userID: r.UserID, organizationID: r.OrganizationID, clientID: r.ClientID}
		if r.Time.After(f.cutoffs[s]) {
			f.cutoffs[s] = r.Time
		}
	}
	if !news {
		return nil
	}
	f.forget(now.Add(-Lifetime))
	var hit []*watcher
	for w := range f.watchers {
		if f.revoked(w.principal) {
			hit = append(hit, w)
		}
	}
	return hit
}

// forget drops what concerns only tokens that have expired.
func (f *Feed) forget(before time.Time) {
	for id, at := range f.seen {
		if at.Before(before) {
			delete(f.seen, id)
		}
	}
	for s, at := range f.cutoffs {
		if at.Before(before) {
			delete(f.cutoffs, s)
		}
	}
}

// revoked tells whether a token has lost its force. The caller holds the lock.
func (f *Feed) revoked(p *identity.Principal) bool {
	// A session that has ended issues nothing more: what seems to be newer was on its
	// way when it ended. An API key goes on with another secret, which auth tells
	// from the one until then.
	if at, ok := f.cutoffs[subject{sessionID: p.SessionID}]; ok && (p.ClientID != identity.APIKey || !p.IssueTime.After(at)) {
		return true
	}
	for _, s := range [...]subject{
		{userID: p.UserID},
		{organizationID: p.OrganizationID},
		{userID: p.UserID, organizationID: p.OrganizationID},
		{clientID: p.ClientID},
	} {
		if at, ok := f.cutoffs[s]; ok && !p.IssueTime.After(at) {
			return true
		}
	}
	return false
}

// Check answers nil for a token that has its force, UNAUTHENTICATED for one that
// lost it, and UNAVAILABLE when that cannot be told.
func (f *Feed) Check(ctx context.Context, p *identity.Principal) error {
	if err := f.known(ctx); err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.revoked(p) {
		return Revoked()
	}
	return nil
}

// known waits a moment for the first answer of the feed.
func (f *Feed) known(ctx context.Context) error {
	select {
	case <-f.loaded:
	default:
		wait, cancel := context.WithTimeout(ctx, firstWait)
		defer cancel()
		select {
		case <-f.loaded:
		case <-wait.Done():
			return unknown()
		}
	}
	if !f.Healthy() {
		return unknown()
	}
	return nil
}

// Healthy tells whether what is known is recent enough to decide by.
func (f *Feed) Healthy() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.heard.IsZero() && f.clock.Now().Sub(f.heard) < MaxAge
}

// Watch calls a function once, when a token loses its force after it was
// checked; the returned function ends the watch.
func (f *Feed) Watch(p *identity.Principal, revoked func()) (stop func()) {
	w := &watcher{principal: p, revoked: revoked}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	if f.revoked(p) {
		// Between the check and now.
		revoked()
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}
}

// Revoked is the fault of a token that has lost its force.
func Revoked() error {
	return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "the session has ended or its rights changed: refresh the token, or sign in again")
}

func unknown() error {
	return fault.Wrap(errors.New("revocation: nothing was heard from auth lately"),
		faultv1.Reason_REASON_UNAVAILABLE, "sign-ins cannot be checked now").WithRetryAfter(time.Second)
}
