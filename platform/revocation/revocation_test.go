package revocation_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/revocation"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// auth is the source of a feed.
type auth struct {
	revoked []revocation.Revocation
	failure error
	asked   time.Time
}

func (a *auth) since(_ context.Context, since time.Time) ([]revocation.Revocation, error) {
	a.asked = since
	var out []revocation.Revocation
	for _, r := range a.revoked {
		if !r.Time.Before(since) {
			out = append(out, r)
		}
	}
	return out, a.failure
}

func feed(t *testing.T) (*revocation.Feed, *auth, *clock.Fake) {
	t.Helper()
	a, clk := &auth{}, clock.NewFake(start)
	f := revocation.NewFeed(a.since, clk, slog.New(slog.DiscardHandler))
	poll(t, f)
	return f, a, clk
}

func poll(t *testing.T, f *revocation.Feed) {
	t.Helper()
	if err := f.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func token(issued time.Time) *identity.Principal {
	return &identity.Principal{UserID: "user", OrganizationID: "home", SessionID: "session", IssueTime: issued}
}

func TestS22ARevocationRevokesOnlyItsTokens(t *testing.T) {
	t.Parallel()
	before, after := token(start), token(start.Add(2*time.Second))
	at := start.Add(time.Second)
	for name, tc := range map[string]struct {
		revoked    revocation.Revocation
		endsBefore bool
	}{
		"the session":               {revocation.Revocation{SessionID: "session"}, true},
		"the user":                  {revocation.Revocation{UserID: "user"}, true},
		"the user here":             {revocation.Revocation{UserID: "user", OrganizationID: "home"}, true},
		"the user elsewhere":        {revocation.Revocation{UserID: "user", OrganizationID: "away"}, false},
		"all here":                  {revocation.Revocation{OrganizationID: "home"}, true},
		"all elsewhere":             {revocation.Revocation{OrganizationID: "away"}, false},
		"another session":           {revocation.Revocation{SessionID: "other"}, false},
		"another user":              {revocation.Revocation{UserID: "other"}, false},
		"another user of this home": {revocation.Revocation{UserID: "other", OrganizationID: "home"}, false},
	} {
		f, a, clk := feed(t)
		clk.Advance(time.Second)
		tc.revoked.ID, tc.revoked.Time = name, at
		a.revoked = append(a.revoked, tc.revoked)
		poll(t, f)
		err := f.Check(t.Context(), before)
		if tc.endsBefore != fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) || !tc.endsBefore && err != nil {
			t.Errorf("%s is revoked: Check of an earlier token returns %v", name, err)
		}
		// A session does not resume after its end. A user may sign in again.
		err = f.Check(t.Context(), after)
		if ended := tc.revoked.SessionID == "session"; ended != fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) || !ended && err != nil {
			t.Errorf("%s is revoked: Check of a later token returns %v", name, err)
		}
	}
}

// S22: a rotated key remains valid with its new secret and the same id. The old secret
// is revoked.
func TestS22ARotatedKeyRemainsValid(t *testing.T) {
	t.Parallel()
	f, a, clk := feed(t)
	clk.Advance(time.Second)
	a.revoked = append(a.revoked, revocation.Revocation{ID: "rotated", SessionID: "session", Time: start.Add(time.Second)})
	poll(t, f)
	for issued, ended := range map[time.Duration]bool{0: true, time.Second: true, 2 * time.Second: false} {
		key := token(start.Add(issued))
		key.ClientID = identity.APIKey
		if err := f.Check(t.Context(), key); ended != fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) || !ended && err != nil {
			t.Errorf("Check of an answer from after %s returns %v", issued, err)
		}
	}
}

// Transactions commit in another order than their times. A revocation that becomes
// visible late must be received too.
func TestS23ALateRevocationIsReceived(t *testing.T) {
	t.Parallel()
	f, a, clk := feed(t)
	clk.Advance(10 * time.Second)
	poll(t, f)
	a.revoked = append(a.revoked, revocation.Revocation{ID: "late", SessionID: "session", Time: start.Add(time.Second)})
	clk.Advance(time.Second)
	poll(t, f)
	if err := f.Check(t.Context(), token(start)); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("got %v", err)
	}
}

// S23: the same holds in a process whose clock is ahead of auth's by the accepted
// difference.
func TestS23ALateRevocationIsReceivedWhenTheClockIsAhead(t *testing.T) {
	t.Parallel()
	const ahead, transaction = 30 * time.Second, 30 * time.Second
	a, clk := &auth{}, clock.NewFake(start.Add(ahead))
	f := revocation.NewFeed(a.since, clk, slog.New(slog.DiscardHandler))
	poll(t, f)
	for passed := time.Duration(0); passed < transaction; passed += time.Second {
		clk.Advance(time.Second)
		poll(t, f)
	}
	a.revoked = append(a.revoked, revocation.Revocation{ID: "1", SessionID: "session", Time: start.Add(time.Second)})
	clk.Advance(time.Second)
	poll(t, f)
	if err := f.Check(t.Context(), token(start)); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("the token is not revoked: %v", err)
	}
}

func TestS22AWatchCallsItsFunctionOnce(t *testing.T) {
	t.Parallel()
	f, a, _ := feed(t)
	var ended, other, left atomic.Int32
	stop := f.Watch(token(start), func() { ended.Add(1) })
	defer stop()
	defer f.Watch(&identity.Principal{UserID: "other", SessionID: "else", IssueTime: start}, func() { other.Add(1) })()
	f.Watch(token(start), func() { left.Add(1) })()
	a.revoked = append(a.revoked, revocation.Revocation{ID: "1", UserID: "user", Time: start})
	poll(t, f)
	poll(t, f)
	if ended.Load() != 1 || other.Load() != 0 || left.Load() != 0 {
		t.Errorf("calls: %d, of another user's watch %d, of a stopped watch %d", ended.Load(), other.Load(), left.Load())
	}
	var late atomic.Int32
	defer f.Watch(token(start), func() { late.Add(1) })()
	if late.Load() != 1 {
		t.Error("a token that was revoked between its check and its watch is not reported")
	}
}

// Without recent revocations every check fails with a fault that allows a retry.
func TestCheck_FeedIsNotAvailable_IsUnavailable(t *testing.T) {
	t.Parallel()
	a, clk := &auth{failure: errors.New("auth is down")}, clock.NewFake(start)
	f := revocation.NewFeed(a.since, clk, slog.New(slog.DiscardHandler))
	if err := f.Poll(t.Context()); err == nil || f.Healthy() {
		t.Errorf("healthy %v after %v", f.Healthy(), err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Check(canceled, token(start)); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
		t.Errorf("before the first answer: %v", err)
	}
	a.failure = nil
	poll(t, f)
	clk.Advance(revocation.MaxAge - time.Second)
	if err := f.Check(t.Context(), token(start)); err != nil || !f.Healthy() {
		t.Errorf("while auth is down for a short time: %v", err)
	}
	clk.Advance(time.Second)
	if err := f.Check(t.Context(), token(start)); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) || fault.From(err).RetryAfter() == 0 {
		t.Errorf("when auth is down for too long: %v", err)
	}
	poll(t, f)
	if err := f.Check(t.Context(), token(start)); err != nil {
		t.Errorf("when auth is back: %v", err)
	}
}

// A new process requests the revocations of the whole lifetime of tokens.
func TestPoll_FirstTime_RequestsTheLifetimeOfTokens(t *testing.T) {
	t.Parallel()
	_, a, _ := feed(t)
	if want := start.Add(-revocation.Lifetime); !a.asked.Equal(want) {
		t.Errorf("requested since %v, want %v", a.asked, want)
	}
}

// S23: revocations are requested every second, without notifications.
func TestRun_PollsEverySecondUntilItIsStopped(t *testing.T) {
	t.Parallel()
	a, clk := &auth{}, clock.NewFake(start)
	var polls atomic.Int32
	f := revocation.NewFeed(func(ctx context.Context, since time.Time) ([]revocation.Revocation, error) {
		polls.Add(1)
		return a.since(ctx, since)
	}, clk, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for range 3 {
		if err := clk.WaitForTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clk.Advance(time.Second)
	}
	if err := clk.WaitForTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := polls.Load(); n != 4 {
		t.Errorf("%d polls in 3 seconds", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
