package surface_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/services/chat"
	chatmigrations "github.com/gatehouse/gatehouse/services/chat/migrations"
	"github.com/gatehouse/gatehouse/services/management"
	managementmigrations "github.com/gatehouse/gatehouse/services/management/migrations"
)

// retainedTables are tables whose rows outlive their organization: the audit trail, and the
// responses for idempotency keys, which are deleted within a day.
var retainedTables = []string{"audit.events", "gatehouse.idempotency_keys"}

// eraseInServices erases in every service that follows the erasure feed of auth.
func eraseInServices(t *testing.T, i *inprocess.Installation, e erasure.Erasure) {
	t.Helper()
	for range 2 { // twice, as the feed does
		for name, do := range map[string]error{
			"chat":       chatService(t, i).Erase(t.Context(), e),
			"management": managementService(t, i).Erase(t.Context(), e),
		} {
			if do != nil {
				t.Fatalf("%s: %v", name, do)
			}
		}
	}
}

// noErasures is an empty feed of erasures.
func noErasures(context.Context, time.Time, string) ([]erasure.Erasure, string, error) {
	return nil, "", nil
}

// managementService returns a service on the installation's database, without its peers.
func managementService(t *testing.T, i *inprocess.Installation) *management.Service {
	t.Helper()
	service, err := management.New(management.Deps{
		DB: i.Database.Open(t, managementmigrations.Role), SecretKey: make([]byte, 32),
		Erasures: noErasures, Chat: struct{ grpc.ClientConnInterface }{}, Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// chatService returns a service on the installation's database, without its peers.
func chatService(t *testing.T, i *inprocess.Installation) *chat.Service {
	t.Helper()
	authorizer, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	peer := struct{ grpc.ClientConnInterface }{}
	service, err := chat.New(chat.Config{
		SecretKey: i.Database.SecretKey, Model: "local/extractive", Embedder: "local/hash-ngram-v1", Uploads: t.TempDir(),
	}, chat.Deps{
		DB: i.Database.Open(t, chatmigrations.Role), Management: peer, Auth: peer, Erasures: noErasures, Authorizer: authorizer,
		Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// countRows returns, by table, the number of rows with a value in a column. It omits empty counts.
func countRows(t *testing.T, i *inprocess.Installation, column, id string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, table := range tenantTables(t, i.Database) {
		name := table.Schema + "." + table.Name
		if slices.Contains(retainedTables, name) || (column == "user_id" && len(query(t, i.Database, pgx.RowTo[int],
			"SELECT 1 FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'user_id'", name)) == 0) {
			continue
		}
		if n := query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+name+" WHERE "+column+" = $1", id)[0]; n > 0 {
			out[name] = n
		}
	}
	return out
}

// After the deletion of an account, no table of any service has rows of the user or of its
// personal organization. Other organizations lose only the rows of that user.
func TestDeleteMe_AfterErasure_NoRowsAreLeft(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, other, operator := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other@example.com"), i.SignIn(t)
	populate(t, i, owner)
	populate(t, i, other)
	inprocess.Decode(t, i.Request(t, operator, http.MethodPost, "/v1/organizations/"+other.OrganizationID+"/members",
		map[string]any{"userId": owner.UserID, "roles": []string{"member"}}), &struct{}{})
	there := i.Switch(t, owner, other.OrganizationID)
	i.Create(t, there, "/v1/conversations", map[string]string{"title": "Mine alone"})
	before := countRows(t, i, "organization_id", other.OrganizationID)
	if len(countRows(t, i, "organization_id", owner.OrganizationID)) < 10 || len(countRows(t, i, "user_id", owner.UserID)) < 4 {
		t.Fatal("there is too little to erase: the test proves nothing")
	}
	owner = i.Switch(t, owner, owner.OrganizationID) // the new token records that the passkey was used
	inprocess.Decode(t, i.Request(t, owner, http.MethodDelete, "/v1/me", nil), &struct{}{})
	query(t, i.Database, pgx.RowTo[string], "SELECT organization_id::text FROM auth.purge_organization(now(), 1000)")
	eraseInServices(t, i, erasure.Erasure{OrganizationID: owner.OrganizationID})
	eraseInServices(t, i, erasure.Erasure{UserID: owner.UserID})
	if left := countRows(t, i, "organization_id", owner.OrganizationID); len(left) > 0 {
		t.Errorf("rows of the organization are left: %v (does the erasure room of the service name the table?)", left)
	}
	if left := countRows(t, i, "user_id", owner.UserID); len(left) > 0 {
		t.Errorf("rows of the user are left: %v", left)
	}
	// The membership, its session and its conversation are deleted. All other rows stay.
	after := countRows(t, i, "organization_id", other.OrganizationID)
	for name, n := range before {
		switch name {
		case "auth.memberships", "auth.sessions", "auth.refresh_tokens", "chat.conversations":
			n--
		}
		if after[name] != n {
			t.Errorf("%s has %d rows of the other organization, want %d", name, after[name], n)
		}
	}
}

// Both services that store data of users follow the erasure feed of auth.
func TestErasureFeed_RunningServices_FollowIt(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for _, schema := range []string{"management", "chat"} {
		for query(t, i.Database, pgx.RowTo[int], "SELECT count(*) FROM "+schema+".erasures_followed")[0] == 0 {
			select {
			case <-ticker.C:
			case <-deadline:
				t.Fatalf("%s does not follow the erasure feed", schema)
			}
		}
	}
}
