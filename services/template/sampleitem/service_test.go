package sampleitem_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	templatev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/template/v1"
	"github.com/gatehouse/gatehouse/services/template/migrations"
	"github.com/gatehouse/gatehouse/services/template/sampleitem"
)

// bundle is the room on a database of its own, behind a real server and a generated
// client.
type bundle struct {
	*rpctest.Server

	database    *pgtest.Database
	sampleItems templatev1.SampleItemServiceClient
}

func setup(t *testing.T) *bundle {
	t.Helper()
	database := pgtest.New(t, migrations.Set())
	tokens, err := paging.NewTokens(pgtest.SecretKey())
	must(t, err)
	room, err := sampleitem.New(sampleitem.Deps{
		DB: database.Open(t, migrations.Role), Tokens: tokens, Trail: audit.NewTrail(clock.System()), Clock: clock.System(),
	})
	must(t, err)
	server := rpctest.Serve(t, "template", room.Register, rpctest.Options{})
	return &bundle{Server: server, database: database, sampleItems: templatev1.NewSampleItemServiceClient(server.Conn)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) create(ctx context.Context, t *testing.T, name string) *templatev1.SampleItem {
	t.Helper()
	created, err := b.sampleItems.CreateSampleItem(ctx, &templatev1.CreateSampleItemRequest{
		SampleItem: &templatev1.SampleItem{DisplayName: name, Description: "kept"},
	})
	must(t, err)
	return created
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("the reason is %v (%v), want %v", got, err, want)
	}
}

func TestSampleItem_CreateUpdateDelete_IsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	created := b.create(ctx, t, "First")
	updated, err := b.sampleItems.UpdateSampleItem(ctx, &templatev1.UpdateSampleItemRequest{
		SampleItem: &templatev1.SampleItem{Id: created.GetId(), DisplayName: "Second", Etag: created.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
	})
	must(t, err)
	if updated.GetDisplayName() != "Second" || updated.GetDescription() != "kept" || updated.GetEtag() == created.GetEtag() {
		t.Errorf("updated to %v", updated)
	}
	read, err := b.sampleItems.GetSampleItem(ctx, &templatev1.GetSampleItemRequest{Id: created.GetId()})
	must(t, err)
	if read.GetDisplayName() != "Second" || read.GetEtag() != updated.GetEtag() {
		t.Errorf("read %v, want %v", read, updated)
	}
	_, err = b.sampleItems.DeleteSampleItem(ctx, &templatev1.DeleteSampleItemRequest{Id: created.GetId(), Etag: created.GetEtag()})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = b.sampleItems.DeleteSampleItem(ctx, &templatev1.DeleteSampleItemRequest{Id: created.GetId(), Etag: updated.GetEtag()})
	must(t, err)
	_, err = b.sampleItems.GetSampleItem(ctx, &templatev1.GetSampleItemRequest{Id: created.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	b.wantAudit(t, created.GetId(), "template.sample_item.created", "template.sample_item.updated", "template.sample_item.deleted")
}

// wantAudit reads the audit trail as the administrator, since no service may.
func (b *bundle) wantAudit(t *testing.T, resourceID string, actions ...string) {
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

func TestSampleItem_OtherOrganization_FindsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := b.create(b.As(t, id.New(), "member"), t, "Theirs")
	other := b.As(t, id.New(), "owner")
	_, read := b.sampleItems.GetSampleItem(other, &templatev1.GetSampleItemRequest{Id: created.GetId()})
	_, updated := b.sampleItems.UpdateSampleItem(other, &templatev1.UpdateSampleItemRequest{SampleItem: &templatev1.SampleItem{Id: created.GetId(), DisplayName: "Mine"}})
	_, deleted := b.sampleItems.DeleteSampleItem(other, &templatev1.DeleteSampleItemRequest{Id: created.GetId()})
	for _, err := range []error{read, updated, deleted} {
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	page, err := b.sampleItems.ListSampleItems(other, &templatev1.ListSampleItemsRequest{})
	must(t, err)
	if len(page.GetSampleItems()) != 0 {
		t.Errorf("another organization lists %v", page.GetSampleItems())
	}
}

func TestSampleItem_Viewer_MayOnlyRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	organization := id.New()
	created := b.create(b.As(t, organization, "member"), t, "First")
	viewer := b.As(t, organization, "viewer")
	_, err := b.sampleItems.GetSampleItem(viewer, &templatev1.GetSampleItemRequest{Id: created.GetId()})
	must(t, err)
	_, createErr := b.sampleItems.CreateSampleItem(viewer, &templatev1.CreateSampleItemRequest{SampleItem: &templatev1.SampleItem{DisplayName: "Second"}})
	_, updateErr := b.sampleItems.UpdateSampleItem(viewer, &templatev1.UpdateSampleItemRequest{SampleItem: &templatev1.SampleItem{Id: created.GetId(), DisplayName: "Second"}})
	_, deleteErr := b.sampleItems.DeleteSampleItem(viewer, &templatev1.DeleteSampleItemRequest{Id: created.GetId()})
	for _, err := range []error{createErr, updateErr, deleteErr} {
		wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	}
}

func TestSampleItem_List_IsPagedFilteredAndOrdered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	for _, name := range []string{"b", "a", "c"} {
		b.create(ctx, t, name)
	}
	for _, tc := range []struct {
		filter, order string
		want          []string
	}{
		{"", "", []string{"c", "a", "b"}},
		{"", "displayName desc", []string{"c", "b", "a"}},
		{`displayName != "b"`, "displayName", []string{"a", "c"}},
	} {
		var got []string
		request := &templatev1.ListSampleItemsRequest{PageSize: 1, Filter: tc.filter, OrderBy: tc.order}
		for more := true; more; more = request.GetPageToken() != "" {
			page, err := b.sampleItems.ListSampleItems(ctx, request)
			must(t, err)
			for _, item := range page.GetSampleItems() {
				got = append(got, item.GetDisplayName())
			}
			request.PageToken = page.GetNextPageToken()
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("filter %q, order %q: %v, want %v", tc.filter, tc.order, got, tc.want)
		}
	}
}

func TestSampleItem_BadInput_NamesTheField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := b.As(t, id.New(), "member")
	for field, bad := range map[string]*templatev1.SampleItem{
		"sampleItem.displayName": {},
		"sampleItem.id":          {Id: "nope", DisplayName: "First"},
	} {
		_, err := b.sampleItems.CreateSampleItem(ctx, &templatev1.CreateSampleItemRequest{SampleItem: bad})
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%v: violations %v, want one on %s", bad, v, field)
		}
	}
}
