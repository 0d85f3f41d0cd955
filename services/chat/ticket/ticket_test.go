package ticket_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

// bundle is the room with a run for which tickets can be issued.
type bundle struct {
	*ticket.Service

	db    *postgres.DB
	clock *clock.Fake
	scope postgres.Scope
	runID string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func setup(t *testing.T) *bundle {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	b := &bundle{
		db: database.Open(t, migrations.Role), clock: clock.NewFake(clock.System().Now()),
		scope: postgres.Scope{OrganizationID: id.New(), UserID: id.New()}, runID: id.New(),
	}
	var err error
	b.Service, err = ticket.New(ticket.Deps{DB: b.db, Clock: b.clock, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	conversation := id.New()
	database.AdminExec(t, `INSERT INTO chat.conversations (organization_id, id, user_id, title, collection_ids, revision, created_at, updated_at)
		VALUES ($1, $2, $3, '', '{}', 1, now(), now())`, b.scope.OrganizationID, conversation, b.scope.UserID)
	database.AdminExec(t, `INSERT INTO chat.runs (organization_id, id, user_id, conversation_id, user_message_id, message_id, state, owner,
			lease_until, request_hash, created_at, updated_at, reserved_seq)
		VALUES ($1, $2, $3, $4, gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), now(), '', now(), now(), 1)`,
		b.scope.OrganizationID, b.runID, b.scope.UserID, conversation)
	return b
}

func (b *bundle) issue(t *testing.T) string {
	t.Helper()
	ctx := identity.NewContext(t.Context(), &identity.Principal{
		OrganizationID: b.scope.OrganizationID, UserID: b.scope.UserID, SessionID: "session", Roles: []string{"member"}, Token: "secret",
	})
	issued, err := b.Issue(ctx, b.scope, b.runID)
	must(t, err)
	return issued
}

func (b *bundle) count(t *testing.T) int {
	t.Helper()
	n, err := postgres.QueryOne(t.Context(), b.db, b.scope, pgx.RowTo[int], "SELECT count(*) FROM event_tickets")
	must(t, err)
	return n
}

func TestRedeem_ReturnsThePrincipalForTheRunWithoutItsToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, err := b.Redeem(t.Context(), b.issue(t))
	must(t, err)
	if p.UserID != b.scope.UserID || p.OrganizationID != b.scope.OrganizationID || p.SessionID != "session" || len(p.Roles) != 1 || p.Resource != b.runID || p.Token != "" {
		t.Errorf("redeemed as %+v", p)
	}
}

func TestRedeem_ManyAtOnce_OneSucceeds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issued := b.issue(t)
	var succeeded atomic.Int32
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			_, err := b.Redeem(t.Context(), issued)
			if err == nil {
				succeeded.Add(1)
			} else if !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := succeeded.Load(); n != 1 {
		t.Errorf("%d of 8 calls succeeded, want 1", n)
	}
}

func TestRedeem_InvalidTickets_AreUnauthenticated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issued := b.issue(t)
	for name, presented := range map[string]string{
		"empty":           "",
		"another secret":  issued[:len(issued)-4] + strings.Repeat("A", 4),
		"without prefix":  strings.TrimPrefix(issued, "gt_"),
		"longer":          issued + "A",
		"another version": "gx_" + issued[3:],
	} {
		if _, err := b.Redeem(t.Context(), presented); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("%s: %v, want UNAUTHENTICATED", name, err)
		}
	}
	b.clock.Advance(ticket.Lifetime)
	if _, err := b.Redeem(t.Context(), issued); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("expired: %v, want UNAUTHENTICATED", err)
	}
}

func TestRun_DeletesExpiredTicketsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.issue(t)
	b.clock.Advance(45 * time.Second)
	kept := b.issue(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Run(ctx) }()
	must(t, b.clock.WaitForTimers(t.Context(), 1))
	must(t, b.Sweeps()[0].Do(t.Context()))
	if n := b.count(t); n != 1 {
		t.Errorf("%d tickets are left, want 1", n)
	}
	if _, err := b.Redeem(t.Context(), kept); err != nil {
		t.Errorf("the valid ticket: %v", err)
	}
	last := b.issue(t)
	b.clock.Advance(time.Minute) // the first sweep of Run is due
	must(t, b.clock.WaitForTimers(t.Context(), 1))
	if n := b.count(t); n != 0 {
		t.Errorf("%d tickets are left after Run has swept, want 0", n)
	}
	if _, err := b.Redeem(t.Context(), last); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("the expired ticket: %v, want UNAUTHENTICATED", err)
	}
	stop()
	must(t, <-stopped)
}

func TestOpens_OnlyTheStreamOfEvents(t *testing.T) {
	t.Parallel()
	s := &ticket.Service{}
	if !s.Opens(chatv1.RunService_WatchRun_FullMethodName) || s.Opens(chatv1.RunService_GetRun_FullMethodName) {
		t.Error("tickets open another RPC than WatchRun, or not WatchRun")
	}
}
