package run_test

import (
	"context"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// S90: a user and an organization have no more runs at once than they may, even when many
// starts are concurrent on several replicas.
func TestS90RunsAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	const limit, tries = 3, 8
	organizationID, userID := id.New(), id.New()
	for _, tc := range []struct {
		name  string
		cfg   run.Config
		scope func() postgres.Scope
	}{
		{"of a user in one organization", run.Config{PerUser: limit, PerOrganization: tries},
			func() postgres.Scope { return postgres.Scope{OrganizationID: organizationID, UserID: userID} }},
		{"of a user in many organizations", run.Config{PerUser: limit, PerOrganization: tries},
			func() postgres.Scope { return postgres.Scope{OrganizationID: id.New(), UserID: userID} }},
		{"of an organization", run.Config{PerUser: tries, PerOrganization: limit},
			func() postgres.Scope { return postgres.Scope{OrganizationID: organizationID, UserID: id.New()} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			database, eng := pgtest.New(t, migrations.Set()), &gated{gate: make(chan struct{})}
			replicas := []*replica{newReplica(t, database, eng, tc.cfg), newReplica(t, database, eng, tc.cfg)}
			var starts sync.WaitGroup
			var mu sync.Mutex
			var started []*chatv1.Run
			var scopes []postgres.Scope
			for n := range tries {
				r, scope := replicas[n%2], tc.scope()
				c, err := r.conversations.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
				must(t, err)
				ctx := as(t, scope)
				starts.Go(func() {
					out, err := start(ctx, r, c.GetId())
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						started, scopes = append(started, out), append(scopes, scope)
						return
					}
					wantReason(t, err, faultv1.Reason_REASON_RATE_LIMITED)
					if fault.From(err).RetryAfter() <= 0 {
						t.Error("the refusal does not say when to retry")
					}
				})
			}
			starts.Wait()
			if len(started) != limit {
				t.Fatalf("%d of %d runs started, want %d", len(started), tries, limit)
			}
			if n := count(t, database, "SELECT count(*) FROM chat.messages"); n != limit {
				t.Errorf("%d messages are stored, with refused ones", n)
			}
			// After one has ended, another may start.
			_, err := replicas[0].service.CancelRun(as(t, scopes[0]), &chatv1.CancelRunRequest{Id: started[0].GetId()})
			must(t, err)
			replicas[0].watch(t, scopes[0], started[0].GetId(), 0)
			c, err := replicas[0].conversations.CreateConversation(as(t, scopes[0]), &chatv1.CreateConversationRequest{})
			must(t, err)
			_, err = start(as(t, scopes[0]), replicas[0], c.GetId())
			must(t, err)
			close(eng.gate)
		})
	}
}

func start(ctx context.Context, r *replica, conversationID string) (*chatv1.Run, error) {
	out, err := r.conversations.StartMessage(ctx, &chatv1.SendMessageRequest{ConversationId: conversationID, Content: "Hello"})
	return out.GetRun(), err
}
