// Package ticket issues and redeems tickets: credentials that open the stream of one
// run's events, once and within [Lifetime], for clients that cannot send a header. A
// browser's EventSource is such a client.
//
// A ticket speaks for the caller who asked for it: it has that caller's rights and
// session, so a stream that it opens ends when the session does. Only its hash is
// stored.
package ticket

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// Lifetime is how long a ticket can be redeemed.
	Lifetime = 30 * time.Second
	// prefix distinguishes tickets from other credentials, so that scanners
	// find leaked ones.
	prefix      = "gt_"
	secretBytes = 32
	// sweepInterval is how often expired tickets are deleted.
	sweepInterval = time.Minute
)

// Deps is what the package needs; all fields are required.
type Deps struct {
	DB    *postgres.DB
	Clock clock.Clock
	Log   *slog.Logger
}

// Tickets issues and redeems tickets. It is safe for concurrent use.
type Tickets struct {
	store *store
	clock clock.Clock
	log   *slog.Logger
}

// New returns tickets over deps, or an error when a dependency is missing.
func New(deps Deps) (*Tickets, error) {
	if deps.DB == nil || deps.Clock == nil || deps.Log == nil {
		return nil, errors.New("ticket: every dependency is required")
	}
	return &Tickets{store: &store{db: deps.DB}, clock: deps.Clock, log: deps.Log}, nil
}

// Issue returns a ticket for a run of the calling user. The caller of Issue has checked
// the right to that run.
func (t *Tickets) Issue(ctx context.Context, scope postgres.Scope, runID string) (string, error) {
	principal, err := identity.Require(ctx)
	if err != nil {
		return "", err
	}
	kept := *principal
	kept.Token = "" // a stream calls no other service
	raw, err := json.Marshal(kept)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the ticket cannot be made")
	}
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	ticket := prefix + base64.RawURLEncoding.EncodeToString(secret)
	return ticket, t.store.insert(ctx, scope, runID, hash(ticket), raw, clock.Stamp(t.clock).Add(Lifetime))
}

// Opens reports whether an RPC takes tickets. Only the stream of events does.
func (*Tickets) Opens(fullMethod string) bool {
	return fullMethod == chatv1.RunService_WatchRun_FullMethodName
}

// Redeem uses up a ticket and returns the principal for whom it speaks, bound
// to its run, or UNAUTHENTICATED.
func (t *Tickets) Redeem(ctx context.Context, ticket string) (*identity.Principal, error) {
	if !strings.HasPrefix(ticket, prefix) || len(ticket) != len(prefix)+base64.RawURLEncoding.EncodedLen(secretBytes) {
		return nil, identity.Unauthenticated()
	}
	runID, raw, err := t.store.redeem(ctx, hash(ticket), t.clock.Now())
	if err != nil {
		return nil, err
	}
	principal := &identity.Principal{}
	if err := json.Unmarshal(raw, principal); err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the ticket cannot be read")
	}
	principal.Resource = runID
	return principal, nil
}

func hash(ticket string) []byte {
	sum := sha256.Sum256([]byte(ticket))
	return sum[:]
}

// Run deletes expired tickets until ctx ends.
func (t *Tickets) Run(ctx context.Context) error {
	for clock.Sleep(ctx, t.clock, sweepInterval) == nil {
		if _, err := t.Sweep(ctx); err != nil && ctx.Err() == nil {
			t.log.WarnContext(ctx, "expired tickets could not be deleted", "error", err)
		}
	}
	return nil
}

// Sweep deletes expired tickets and returns their number.
func (t *Tickets) Sweep(ctx context.Context) (int64, error) {
	return t.store.sweep(ctx, t.clock.Now())
}
