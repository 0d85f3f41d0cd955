package chat_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/chat"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// shared are the tables of the schema that belong to packages of platform.
var shared = []string{"erasures_followed", "schema_migrations"}

// noErasures is an empty feed.
func noErasures(context.Context, time.Time, string) ([]erasure.Erasure, string, error) {
	return nil, "", nil
}

func TestTables_AreAllTablesOfTheSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	authorizer, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	peer := struct{ grpc.ClientConnInterface }{}
	service, err := chat.New(chat.Config{SecretKey: pgtest.SecretKey(), Model: "local/extractive", Embedder: "local/hash-ngram-v1"}, chat.Deps{
		DB: db, Management: peer, Auth: peer, Erasures: noErasures, Authorizer: authorizer, Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var owned []string
	for _, table := range service.Tables() {
		owned = append(owned, table.Name)
	}
	slices.Sort(owned)
	want, err := postgres.QueryAll(t.Context(), db, postgres.Scope{}, pgx.RowTo[string],
		"SELECT tablename::text FROM pg_tables WHERE schemaname = 'chat' AND tablename <> ALL ($1::text[]) ORDER BY tablename COLLATE \"C\"", shared)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(owned, want) {
		t.Errorf("the rooms own %q, the schema has %q", owned, want)
	}
}

func TestNew_MissingDependency_IsNamed(t *testing.T) {
	t.Parallel()
	if _, err := chat.New(chat.Config{}, chat.Deps{Clock: clock.System()}); err == nil || err.Error() != "chat: Deps.DB is required\nchat: Deps.Management is required\n"+
		"chat: Deps.Auth is required\nchat: Deps.Erasures is required\nchat: Deps.Authorizer is required\nchat: Deps.Log is required\nchat: Deps.Tracer is required\nchat: Deps.Meter is required" {
		t.Errorf("New returned %v", err)
	}
}
