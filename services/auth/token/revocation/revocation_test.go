package revocation_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	feed "github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
	"github.com/gatehouse/gatehouse/services/auth/token/revocation"
)

// setup returns a store whose clock a test advances.
func setup(t *testing.T) (*postgres.DB, *revocation.Store, *clock.Fake) {
	t.Helper()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	tokens, err := paging.NewTokens(pgtest.SecretKey())
	authtest.Must(t, err)
	clk := clock.NewFake(time.Now())
	return db, revocation.NewStore(db, tokens, clk), clk
}

// S22: each kind of revocation revokes the older tokens that it names, and no others.
func TestS22IsRevoked(t *testing.T) {
	t.Parallel()
	db, store, clk := setup(t)
	p := identity.Principal{
		UserID: id.New(), OrganizationID: id.New(), SessionID: id.New(), ClientID: id.New(), IssueTime: clk.Now(),
	}
	clk.Advance(time.Second)
	other := func(change func(*identity.Principal)) identity.Principal {
		out := p
		change(&out)
		return out
	}
	elsewhere := other(func(o *identity.Principal) { o.OrganizationID = id.New() })
	newer := other(func(o *identity.Principal) { o.IssueTime = clk.Now().Add(time.Second) })
	for _, tc := range []struct {
		name       string
		revoke     func(ctx context.Context, tx postgres.Tx) error
		revoked    []identity.Principal
		notRevoked []identity.Principal
	}{
		{
			name:       "a session",
			revoke:     func(ctx context.Context, tx postgres.Tx) error { return store.RevokeSession(ctx, tx, p.SessionID) },
			revoked:    []identity.Principal{p, newer},
			notRevoked: []identity.Principal{other(func(o *identity.Principal) { o.SessionID = id.New() })},
		},
		{
			name: "several sessions",
			revoke: func(ctx context.Context, tx postgres.Tx) error {
				return store.RevokeSessions(ctx, tx, []string{id.New(), p.SessionID})
			},
			revoked:    []identity.Principal{p, newer},
			notRevoked: []identity.Principal{other(func(o *identity.Principal) { o.SessionID = id.New() })},
		},
		{
			name:       "a user",
			revoke:     func(ctx context.Context, tx postgres.Tx) error { return store.RevokeUser(ctx, tx, p.UserID) },
			revoked:    []identity.Principal{p, elsewhere},
			notRevoked: []identity.Principal{newer, other(func(o *identity.Principal) { o.UserID = id.New() })},
		},
		{
			name: "a member",
			revoke: func(ctx context.Context, tx postgres.Tx) error {
				return store.RevokeMember(ctx, tx, p.OrganizationID, p.UserID)
			},
			revoked:    []identity.Principal{p},
			notRevoked: []identity.Principal{newer, elsewhere, other(func(o *identity.Principal) { o.UserID = id.New() })},
		},
		{
			name: "several members",
			revoke: func(ctx context.Context, tx postgres.Tx) error {
				return store.RevokeMembers(ctx, tx, p.OrganizationID, []string{id.New(), p.UserID})
			},
			revoked:    []identity.Principal{p},
			notRevoked: []identity.Principal{newer, elsewhere, other(func(o *identity.Principal) { o.UserID = id.New() })},
		},
		{
			name: "an organization",
			revoke: func(ctx context.Context, tx postgres.Tx) error {
				return store.RevokeOrganization(ctx, tx, p.OrganizationID)
			},
			revoked:    []identity.Principal{p, other(func(o *identity.Principal) { o.UserID = id.New() })},
			notRevoked: []identity.Principal{newer, elsewhere},
		},
		{
			name:       "a client",
			revoke:     func(ctx context.Context, tx postgres.Tx) error { return store.RevokeClient(ctx, tx, p.ClientID) },
			revoked:    []identity.Principal{p, elsewhere},
			notRevoked: []identity.Principal{newer, other(func(o *identity.Principal) { o.ClientID = id.New() })},
		},
	} {
		// The cases share the database, so each of them deletes its revocation.
		authtest.Must(t, db.InTx(t.Context(), postgres.Scope{}, tc.revoke))
		for want, principals := range map[bool][]identity.Principal{true: tc.revoked, false: tc.notRevoked} {
			for n, q := range principals {
				got, err := store.IsRevoked(t.Context(), &q)
				authtest.Must(t, err)
				if got != want {
					t.Errorf("%s: token %d is revoked: %t, want %t", tc.name, n, got, want)
				}
			}
		}
		_, err := postgres.Exec(t.Context(), db, postgres.Scope{}, "DELETE FROM revocations")
		authtest.Must(t, err)
	}
}

func TestSince_ReturnsRevocationsFromATime(t *testing.T) {
	t.Parallel()
	db, store, clk := setup(t)
	first, second := id.New(), id.New()
	revoke := func(sessionID string) {
		authtest.Must(t, db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
			return store.RevokeSession(ctx, tx, sessionID)
		}))
	}
	revoke(first)
	clk.Advance(time.Minute)
	since := clk.Now().Add(-time.Second)
	revoke(second)
	found, err := store.Since(t.Context(), since)
	authtest.Must(t, err)
	if len(found) != 1 || found[0].SessionID != second {
		t.Errorf("returned %+v, want only the session %s", found, second)
	}
}

func TestSweep_DeletesRevocationsOfExpiredTokens(t *testing.T) {
	t.Parallel()
	db, store, clk := setup(t)
	room, err := revocation.New(revocation.Deps{Store: store})
	authtest.Must(t, err)
	authtest.Must(t, db.InTx(t.Context(), postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		return store.RevokeSession(ctx, tx, id.New())
	}))
	left := func() int {
		found, err := store.Since(t.Context(), time.Unix(0, 0))
		authtest.Must(t, err)
		return len(found)
	}
	for _, tc := range []struct {
		age  time.Duration
		want int
	}{{feed.Lifetime - time.Second, 1}, {2 * time.Second, 0}} {
		clk.Advance(tc.age)
		for _, sweep := range room.Sweeps() {
			authtest.Must(t, sweep.Do(t.Context()))
		}
		if got := left(); got != tc.want {
			t.Errorf("%d revocations are left, want %d", got, tc.want)
		}
	}
}

func TestListRevocations_OnlyServicesReadPages(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	operator := b.Operator(t)
	for range 3 {
		b.SignIn(t, "root@example.org")
	}
	_, err := b.UserSessions.EndUserSessions(authtest.With(t.Context(), operator), &authv1.EndUserSessionsRequest{KeepCurrent: true})
	authtest.Must(t, err)
	client, req := authv1.NewRevocationServiceClient(b.Conn), &authv1.ListRevocationsRequest{SinceTime: timestamppb.New(time.Unix(0, 0)), PageSize: 2}
	sessions := map[string]bool{}
	for first := true; first || req.GetPageToken() != ""; first = false {
		page, err := client.ListRevocations(b.AsService(t, "auth"), req)
		authtest.Must(t, err)
		for _, r := range page.GetRevocations() {
			sessions[r.GetSessionId()] = true
		}
		req.PageToken = page.GetNextPageToken()
	}
	if len(sessions) != 3 {
		t.Errorf("listed the sessions %v, want 3", sessions)
	}
	_, err = client.ListRevocations(authtest.With(t.Context(), operator), req)
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}
