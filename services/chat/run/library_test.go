package run_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/chat/run"
)

// library is the assistant and the collections of an organization, and an engine that
// records its requests.
type library struct {
	assistant   *managementv1.Assistant
	collections []string

	mu       sync.Mutex
	requests []engine.Request
}

func (l *library) Resolve(_ context.Context, _, id string) (*managementv1.Assistant, error) {
	if l.assistant.GetId() != id {
		return nil, fault.NotFound("assistant")
	}
	return l.assistant, nil
}

func (l *library) Missing(_ context.Context, _ postgres.Scope, ids []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(ids), func(one string) bool { return slices.Contains(l.collections, one) }), nil
}

func (l *library) Run(ctx context.Context, req engine.Request, out engine.Emitter) (engine.Outcome, error) {
	l.mu.Lock()
	l.requests = append(l.requests, req)
	l.mu.Unlock()
	return engine.Outcome{}, out.Emit(ctx, engine.MessageDelta{Text: "Yes."})
}

// last returns the latest request to the engine.
func (l *library) last() engine.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests[len(l.requests)-1]
}

// newLibrary returns a library with two collections, the first of which the assistant
// names, and a replica that uses it and checks the rules of the contracts.
func newLibrary(t *testing.T) (*library, *replica) {
	t.Helper()
	collections := id.NewEach(2)
	l := &library{collections: collections, assistant: &managementv1.Assistant{
		Id: id.New(), Instructions: "Be brief.", CollectionIds: collections[:1],
	}}
	rights, err := authz.New()
	must(t, err)
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	r := newReplicaOn(t, db, clock.System(), l, run.Config{}, func(deps *run.Deps) {
		deps.Assistants, deps.Collections, deps.Rights = l, l, rights
	})
	return l, r
}

// key returns the context of a caller with an owner's API key that has some scopes.
func key(t *testing.T, scope postgres.Scope, scopes ...string) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), &identity.Principal{
		OrganizationID: scope.OrganizationID, UserID: scope.UserID, ClientID: identity.APIKey, Roles: []string{"owner"}, Scopes: scopes,
	})
}

// custom returns the context of a signed-in caller with one custom role that has some
// permissions.
func custom(t *testing.T, scope postgres.Scope, permissions ...string) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), &identity.Principal{
		OrganizationID: scope.OrganizationID, UserID: scope.UserID, ClientID: identity.FirstParty, Roles: []string{id.New()}, Permissions: permissions,
	})
}
