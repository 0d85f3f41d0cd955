// Package revocation invalidates access tokens before they expire.
//
// Access tokens are verified offline, so without revocations a service would accept a
// token until it expires, even if its session was ended or its user was disabled. Each
// process therefore follows auth's feed of revocations ([Feed.Run]): it requests new
// revocations every second, and keeps those that concern tokens that are not expired. So
// a revocation takes effect within two seconds, also for open streams ([Feed.Watch]). It
// needs no notification, which could be lost.
//
// A process that has not received revocations yet, or not for [MaxAge], refuses with
// UNAVAILABLE, because it cannot check tokens.
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
	// MaxAge is the maximum age of the last answer of the feed. When auth is down for
	// longer, the other services refuse all tokens.
	MaxAge = time.Minute
	// Lifetime is how long a revocation is kept: the lifetime of an access token, and
	// the accepted difference between clocks.
	Lifetime = 20 * time.Minute

	interval = time.Second
	// overlap is the period that each request repeats. Transactions commit in another
	// order than their times, up to 30 s later, and the clock of this process may be
	// 30 s ahead of auth's.
	overlap     = time.Minute
	pollTimeout = 5 * time.Second
	firstWait   = 3 * time.Second
)

// Revocation revokes all tokens of a session. Or it revokes the tokens of a user, of an
// organization, of a user in an organization, or of an OAuth client, that were issued up
// to its time.
type Revocation struct {
	ID        string `db:"id"`
	SessionID string
	UserID    string
	// OrganizationID limits a revocation to one organization. Empty means all.
	OrganizationID string
	ClientID       string
	Time           time.Time `db:"created_at"`
}

// Source returns the revocations since a time.
type Source func(ctx context.Context, since time.Time) ([]Revocation, error)

// Feed contains the revocations that a process knows. It is safe for concurrent use.
type Feed struct {
	source Source
	clock  clock.Clock
	log    *slog.Logger
	loaded chan struct{} // closed after the first answer of the source

	mu       sync.RWMutex
	polled   time.Time
	seen     map[string]time.Time // by id, with the revocation's time
	cutoffs  map[subject]time.Time
	watchers map[*watcher]struct{}
}

// subject identifies the tokens of a revocation. Fields that do not matter are empty.
type subject struct{ sessionID, userID, organizationID, clientID string }

type watcher struct {
	principal *identity.Principal
	revoked   func()
}

// NewFeed returns an empty feed. Run fills it.
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

// Poll requests new revocations once.
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
	if f.polled.IsZero() {
		return now.Add(-Lifetime)
	}
	return f.polled.Add(-overlap)
}

// learn adds the revocations that were found at a time, and returns the watchers whose
// tokens they revoke.
func (f *Feed) learn(now time.Time, found []Revocation) []*watcher {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.polled.IsZero() {
		close(f.loaded)
	}
	f.polled = now
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

// forget removes the revocations that concern only expired tokens.
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

// revoked reports whether a token is revoked. The caller must hold the lock.
func (f *Feed) revoked(p *identity.Principal) bool {
	// A session that has ended issues no more tokens: a token that seems to be newer was
	// issued while the session ended. An API key may have a new secret after the
	// revocation, so only tokens up to its time are revoked.
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

// Check returns nil for a valid token, UNAUTHENTICATED for a revoked one, and UNAVAILABLE
// when the revocations are not known.
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

// known waits for the first answer of the source, for a short time.
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

// Healthy reports whether the last answer of the source is not older than [MaxAge].
func (f *Feed) Healthy() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.polled.IsZero() && f.clock.Now().Sub(f.polled) < MaxAge
}

// Watch calls a function once when a token is revoked after it was checked. The returned
// function ends the watch.
func (f *Feed) Watch(p *identity.Principal, revoked func()) (stop func()) {
	w := &watcher{principal: p, revoked: revoked}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	if f.revoked(p) {
		// The token may have been revoked since the check.
		revoked()
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}
}

// Revoked returns the fault of a revoked token.
func Revoked() error {
	return fault.New(faultv1.Reason_REASON_UNAUTHENTICATED, "the session has ended or its rights changed: refresh the token, or sign in again")
}

func unknown() error {
	return fault.Wrap(errors.New("revocation: no recent answer from auth"),
		faultv1.Reason_REASON_UNAVAILABLE, "sign-ins cannot be checked now").WithRetryAfter(time.Second)
}
