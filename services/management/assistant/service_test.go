package assistant_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/management"
	"github.com/gatehouse/gatehouse/services/management/migrations"
)

// bundle is the service on a database of its own, behind the real server and
// the generated client.
type bundle struct {
	*rpctest.Server
	database   *pgtest.Database
	db         *postgres.DB
	library    *library
	assistants managementv1.AssistantServiceClient
	directory  managementv1.AssistantDirectoryServiceClient
}

// noErasures is an empty feed of erasures.
func noErasures(context.Context, time.Time, string) ([]erasure.Erasure, string, error) {
	return nil, "", nil
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{database: pgtest.New(t, migrations.Set()), library: &library{}}
	b.db = b.database.Open(t, migrations.Role)
	service, err := management.New(management.Deps{
		DB: b.db, SecretKey: pgtest.SecretKey(), Erasures: noErasures, Chat: b.library, Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	b.Server = rpctest.Serve(t, "management", service.Register, rpctest.Options{})
	b.assistants = managementv1.NewAssistantServiceClient(b.Conn)
	b.directory = managementv1.NewAssistantDirectoryServiceClient(b.Conn)
	return b
}

func (b *bundle) create(ctx context.Context, t *testing.T, name string) *managementv1.Assistant {
	t.Helper()
	a, err := b.assistants.CreateAssistant(ctx, &managementv1.CreateAssistantRequest{
		Assistant: &managementv1.Assistant{DisplayName: name, Tools: []string{"calculator"}},
	})
	must(t, err)
	return a
}

func TestAssistant_CreateUpdateDeleteRestore_IsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	org := id.New()
	ctx := b.As(t, org, "member")
	created := b.create(ctx, t, "Help desk")

	updated, err := b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{
		Assistant:  &managementv1.Assistant{Id: created.GetId(), Description: "Answers about leave", Etag: created.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}},
	})
	must(t, err)
	if updated.GetDisplayName() != "Help desk" || updated.GetDescription() != "Answers about leave" || updated.GetEtag() == created.GetEtag() {
		t.Errorf("updated to %v", updated)
	}
	_, err = b.assistants.DeleteAssistant(ctx, &managementv1.DeleteAssistantRequest{Id: created.GetId(), Etag: created.GetEtag()})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = b.assistants.DeleteAssistant(ctx, &managementv1.DeleteAssistantRequest{Id: created.GetId(), Etag: updated.GetEtag()})
	must(t, err)
	_, err = b.assistants.DeleteAssistant(ctx, &managementv1.DeleteAssistantRequest{Id: created.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	_, err = b.directory.ResolveAssistant(b.WithService(t.Context(), t, "chat", "management"), &managementv1.ResolveAssistantRequest{OrganizationId: org, Id: created.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	restored, err := b.assistants.UndeleteAssistant(ctx, &managementv1.UndeleteAssistantRequest{Id: created.GetId()})
	must(t, err)
	if restored.GetDeleteTime() != nil || restored.GetDescription() != "Answers about leave" {
		t.Errorf("restored as %v", restored)
	}
	wantAudit(t, b, created.GetId(), "management.assistant.created", "management.assistant.updated",
		"management.assistant.deleted", "management.assistant.restored")
}

// Without a mask, an update changes the fields that have a value (AIP-134). The audit trail
// names them as JSON does.
func TestUpdateAssistant_WithoutMask_ChangesFieldsWithAValue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	created := b.create(ctx, t, "Help desk")
	updated, err := b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{
		Assistant: &managementv1.Assistant{Id: created.GetId(), DisplayName: "Front desk"},
	})
	must(t, err)
	if updated.GetDisplayName() != "Front desk" || !slices.Equal(updated.GetTools(), created.GetTools()) {
		t.Errorf("updated to %v", updated)
	}
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	var changes string
	must(t, conn.QueryRow(t.Context(), "SELECT changes::text FROM audit.events WHERE resource_id = $1 AND action = 'management.assistant.updated'",
		created.GetId()).Scan(&changes))
	if changes != `{"displayName": {"after": "Front desk", "before": "Help desk"}}` {
		t.Errorf("the audit trail has %s", changes)
	}
}

// wantAudit reads the audit trail as the administrator, since no service may.
func wantAudit(t *testing.T, b *bundle, resourceID string, actions ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.database.AdminURL)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	rows, err := conn.Query(t.Context(), "SELECT action FROM audit.events WHERE resource_id = $1 ORDER BY time, id", resourceID)
	must(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	if !slices.Equal(got, actions) {
		t.Errorf("the audit trail has %v, want %v", got, actions)
	}
}

func TestListAssistants_IsPagedFilteredAndOrdered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	for _, name := range []string{"Alpha", "Beta", "Gamma", "Alpine"} {
		b.create(ctx, t, name)
	}
	var names []string
	req := &managementv1.ListAssistantsRequest{PageSize: 1, Filter: `displayName : "Al"`, OrderBy: "displayName desc"}
	for {
		page, err := b.assistants.ListAssistants(ctx, req)
		must(t, err)
		for _, a := range page.GetAssistants() {
			names = append(names, a.GetDisplayName())
		}
		if page.GetNextPageToken() == "" {
			break
		}
		req.PageToken = page.GetNextPageToken()
	}
	if len(names) != 2 || names[0] != "Alpine" || names[1] != "Alpha" {
		t.Errorf("listed %v", names)
	}
}

// S46: each role and credential may call only its RPCs.
func TestAssistant_RolesAndCredentials_AreEnforced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	org := id.New()
	req := &managementv1.CreateAssistantRequest{Assistant: &managementv1.Assistant{DisplayName: "x"}}
	_, err := b.assistants.CreateAssistant(t.Context(), req)
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	_, err = b.assistants.CreateAssistant(b.As(t, org, "viewer"), req)
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	resolve := &managementv1.ResolveAssistantRequest{OrganizationId: org, Id: id.New()}
	_, err = b.directory.ResolveAssistant(b.As(t, org, "owner"), resolve)
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	_, err = b.directory.ResolveAssistant(b.WithService(t.Context(), t, "chat", "auth"), resolve)
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	_, err = b.directory.ResolveAssistant(b.WithService(t.Context(), t, "chat", "management"), resolve)
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

func TestCreateAssistant_BadInput_NamesTheField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	hot := 3.0
	for field, a := range map[string]*managementv1.Assistant{
		"assistant.displayName":      {},
		"assistant.model":            {DisplayName: "x", Model: "no slash"},
		"assistant.temperature":      {DisplayName: "x", Temperature: &hot},
		"assistant.collectionIds[0]": {DisplayName: "x", CollectionIds: []string{"nope"}},
	} {
		_, err := b.assistants.CreateAssistant(ctx, &managementv1.CreateAssistantRequest{Assistant: a})
		violations := fault.From(err).Violations()
		if len(violations) != 1 || violations[0].Field != field {
			t.Errorf("violations %v, want one on %s", violations, field)
		}
	}
}

func TestS41AssistantOfAnotherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := b.As(t, id.New(), "owner")
	foreign := b.create(owner, t, "Secret").GetId()
	other := b.As(t, id.New(), "owner")
	calls := map[string]func(id string) error{
		"get": func(id string) error {
			_, err := b.assistants.GetAssistant(other, &managementv1.GetAssistantRequest{Id: id})
			return err
		},
		"update": func(id string) error {
			_, err := b.assistants.UpdateAssistant(other, &managementv1.UpdateAssistantRequest{
				Assistant:  &managementv1.Assistant{Id: id, DisplayName: "mine"},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
			})
			return err
		},
		"delete": func(id string) error {
			_, err := b.assistants.DeleteAssistant(other, &managementv1.DeleteAssistantRequest{Id: id})
			return err
		},
		"undelete": func(id string) error {
			_, err := b.assistants.UndeleteAssistant(other, &managementv1.UndeleteAssistantRequest{Id: id})
			return err
		},
	}
	for name, call := range calls {
		got, want := call(foreign), call(id.New())
		wantReason(t, got, faultv1.Reason_REASON_NOT_FOUND)
		if got.Error() != want.Error() {
			t.Errorf("%s: the error for a foreign id is %q, for an absent one %q", name, got, want)
		}
	}
}

// Row level security alone hides the rows of other organizations: this query has no
// condition.
func TestS50RowLevelSecurityAloneHidesOtherOrganizations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	org := id.New()
	b.create(b.As(t, org, "owner"), t, "Secret")
	count := func(scope postgres.Scope) int {
		n, err := postgres.QueryOne(t.Context(), b.db, scope, pgx.RowTo[int], "SELECT count(*) FROM assistants")
		must(t, err)
		return n
	}
	if n := count(postgres.Scope{OrganizationID: org}); n != 1 {
		t.Fatalf("the owner sees %d rows", n)
	}
	if n := count(postgres.Scope{OrganizationID: id.New()}); n != 0 {
		t.Errorf("another organization sees %d rows", n)
	}
	if n := count(postgres.Scope{}); n != 0 {
		t.Errorf("a transaction without a scope sees %d rows", n)
	}
	must(t, postgres.CheckTenancy(t.Context(), b.database.AdminURL))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}
