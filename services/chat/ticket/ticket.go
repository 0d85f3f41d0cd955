// Package ticket is the room of tickets. A ticket is a credential that opens the stream of
// one run's events, once and within [Lifetime]. It is for clients that cannot send a
// header, such as the EventSource of a browser.
//
// A ticket has the rights and the session of the caller who requested it. So a stream that
// it opens ends when the session ends. Only the hash of a ticket is stored.
//
// The room has no RPC of its own: the room of runs issues tickets, and the server that
// authenticates callers redeems them.
package ticket

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
)

// Issue returns a ticket for a run of the calling user. The caller of Issue must have
// checked that the user may read the run.
func (s *Service) Issue(ctx context.Context, scope postgres.Scope, runID string) (string, error) {
	principal, err := identity.Require(ctx)
	if err != nil {
		return "", err
	}
	kept := *principal
	kept.Token = "" // a stream makes no call to another service
	raw, err := json.Marshal(kept)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the ticket cannot be created")
	}
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	ticket := prefix + base64.RawURLEncoding.EncodeToString(secret)
	return ticket, s.store.insert(ctx, scope, runID, hash(ticket), raw, clock.Stamp(s.deps.Clock).Add(Lifetime))
}

// Opens reports whether an RPC takes tickets. Only the stream of events does.
func (*Service) Opens(fullMethod string) bool {
	return fullMethod == chatv1.RunService_WatchRun_FullMethodName
}

// Redeem deletes a ticket and returns the principal who requested it, bound to its run, or
// UNAUTHENTICATED.
func (s *Service) Redeem(ctx context.Context, ticket string) (*identity.Principal, error) {
	if !strings.HasPrefix(ticket, prefix) || len(ticket) != len(prefix)+base64.RawURLEncoding.EncodedLen(secretBytes) {
		return nil, identity.Unauthenticated()
	}
	runID, raw, err := s.store.redeem(ctx, hash(ticket), s.deps.Clock.Now())
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
