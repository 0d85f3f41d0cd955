package export_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/export"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

var (
	start     = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	errClosed = errors.New("the reader closed the stream")
)

// account is the part of auth that an export reads. It returns one item on a page.
type account struct {
	authv1.UnimplementedAccountServiceServer
	authv1.UnimplementedOrganizationServiceServer
	authv1.UnimplementedUserSessionServiceServer
	authv1.UnimplementedApiKeyServiceServer
	authv1.UnimplementedPasskeyServiceServer
	authv1.UnimplementedGrantServiceServer
	authv1.UnimplementedIdentityServiceServer
	authv1.UnimplementedFactorServiceServer

	organizations []*authv1.Organization
	methods       []string
}

func (*account) GetMe(context.Context, *authv1.GetMeRequest) (*authv1.Me, error) {
	return &authv1.Me{Email: "ada@example.com"}, nil
}

func (a *account) GetFactors(context.Context, *authv1.GetFactorsRequest) (*authv1.Factors, error) {
	return &authv1.Factors{Methods: a.methods}, nil
}

func (a *account) ListOrganizations(_ context.Context, req *authv1.ListOrganizationsRequest) (*authv1.ListOrganizationsResponse, error) {
	page := len(req.GetPageToken()) // a token of n letters is page n
	out := &authv1.ListOrganizationsResponse{Organizations: a.organizations[page : page+1]}
	if page+1 < len(a.organizations) {
		out.NextPageToken = req.GetPageToken() + "n"
	}
	return out, nil
}

func (*account) ListUserSessions(context.Context, *authv1.ListUserSessionsRequest) (*authv1.ListUserSessionsResponse, error) {
	return &authv1.ListUserSessionsResponse{Sessions: []*authv1.UserSession{{Id: "session"}}}, nil
}

func (*account) ListApiKeys(context.Context, *authv1.ListApiKeysRequest) (*authv1.ListApiKeysResponse, error) { //nolint:revive,staticcheck // the contract's name
	return &authv1.ListApiKeysResponse{ApiKeys: []*authv1.ApiKey{{Id: "key"}}}, nil
}

func (*account) ListPasskeys(context.Context, *authv1.ListPasskeysRequest) (*authv1.ListPasskeysResponse, error) {
	return &authv1.ListPasskeysResponse{}, nil
}

func (*account) ListGrants(context.Context, *authv1.ListGrantsRequest) (*authv1.ListGrantsResponse, error) {
	return &authv1.ListGrantsResponse{}, nil
}

func (*account) ListIdentities(context.Context, *authv1.ListIdentitiesRequest) (*authv1.ListIdentitiesResponse, error) {
	return &authv1.ListIdentitiesResponse{}, nil
}

func (a *account) serve(t *testing.T) grpc.ClientConnInterface {
	t.Helper()
	server, listener := grpc.NewServer(), bufconn.Listen(1<<16)
	authv1.RegisterAccountServiceServer(server, a)
	authv1.RegisterOrganizationServiceServer(server, a)
	authv1.RegisterUserSessionServiceServer(server, a)
	authv1.RegisterApiKeyServiceServer(server, a)
	authv1.RegisterPasskeyServiceServer(server, a)
	authv1.RegisterGrantServiceServer(server, a)
	authv1.RegisterIdentityServiceServer(server, a)
	authv1.RegisterFactorServiceServer(server, a)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///auth", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		server.Stop()
		must(t, <-served)
	})
	return conn
}

// history has one conversation in each organization, with two pages of messages. The
// conversation named deleted no longer exists when its messages are read.
type history struct {
	mu    sync.Mutex
	asked []postgres.Scope
}

func (h *history) Page(_ context.Context, scope postgres.Scope, _ paging.Request) ([]*chatv1.Conversation, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, scope)
	return []*chatv1.Conversation{{Id: "kept"}, {Id: "deleted"}}, "", nil
}

func (*history) Messages(_ context.Context, _ postgres.Scope, conversationID string, req paging.Request) ([]*chatv1.Message, string, error) {
	if conversationID == "deleted" {
		return nil, "", fault.NotFound("conversation")
	}
	if req.PageToken == "" {
		return []*chatv1.Message{{Id: "question"}}, "next", nil
	}
	return []*chatv1.Message{{Id: "reply"}}, "", nil
}

// reader is the stream of an export. It keeps the kinds of its records.
type reader struct {
	grpc.ServerStreamingServer[chatv1.ExportRecord]

	ctx     context.Context
	kinds   []string
	failure error
}

func (r *reader) Context() context.Context   { return r.ctx }
func (*reader) SendHeader(metadata.MD) error { return nil }
func (r *reader) Send(record *chatv1.ExportRecord) error {
	if r.failure != nil {
		return r.failure
	}
	field := record.ProtoReflect().WhichOneof(record.ProtoReflect().Descriptor().Oneofs().ByName("record"))
	r.kinds = append(r.kinds, string(field.Name()))
	return nil
}

type bundle struct {
	service  *export.Service
	history  *history
	database *pgtest.Database
	caller   *identity.Principal
}

func setup(t *testing.T, a *account) *bundle {
	t.Helper()
	b := &bundle{history: &history{}, database: pgtest.New(t, migrations.Set())}
	clk := clock.NewFake(start)
	var err error
	b.service, err = export.New(export.Deps{
		DB: b.database.Open(t, migrations.Role), Auth: a.serve(t), Conversations: b.history, Trail: audit.NewTrail(clk), Clock: clk,
	})
	must(t, err)
	b.caller = &identity.Principal{OrganizationID: id.New(), UserID: id.New(), ClientID: identity.FirstParty, AuthTime: start, Methods: []string{identity.MethodPassword}}
	return b
}

// export returns the kinds of the records that a reader gets. The reader fails with failure,
// if it is set.
func (b *bundle) export(t *testing.T, failure error) ([]string, error) {
	t.Helper()
	r := &reader{ctx: identity.NewContext(t.Context(), b.caller), failure: failure}
	err := b.service.ExportMe(&chatv1.ExportMeRequest{}, r)
	return r.kinds, err
}

func (b *bundle) audited(t *testing.T) string {
	t.Helper()
	return b.database.AdminQuery(t, "SELECT count(*)::text FROM audit.events WHERE action = 'chat.user.exported' AND resource_id = $1", b.caller.UserID)[0][0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestExportMe_SendsEveryKindOnceAndIsAudited(t *testing.T) {
	t.Parallel()
	active, deleted := id.New(), id.New()
	b := setup(t, &account{organizations: []*authv1.Organization{
		{Id: active, State: authv1.Organization_ACTIVE}, {Id: deleted, State: authv1.Organization_DELETED},
	}})
	kinds, err := b.export(t, nil)
	must(t, err)
	want := []string{"account", "factors", "organization", "organization", "session", "api_key", "conversation", "message", "message", "conversation"}
	if !slices.Equal(kinds, want) {
		t.Errorf("the records are %v, want %v", kinds, want)
	}
	// Conversations are read in the scope of the user, in active organizations alone.
	if scope := (postgres.Scope{OrganizationID: active, UserID: b.caller.UserID}); !slices.Equal(b.history.asked, []postgres.Scope{scope}) {
		t.Errorf("conversations were read in %v, want %v alone", b.history.asked, scope)
	}
	if n := b.audited(t); n != "1" {
		t.Errorf("the audit trail has %s exports, want 1", n)
	}
}

func TestExportMe_OldOrWeakSignIn_IsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*identity.Principal)
		want   faultv1.Reason
	}{
		{"signed in too long ago", func(p *identity.Principal) { p.AuthTime = start.Add(-identity.MaxAuthAge - time.Second) }, faultv1.Reason_REASON_STEP_UP_REQUIRED},
		{"without the enrolled factor", func(*identity.Principal) {}, faultv1.Reason_REASON_STEP_UP_REQUIRED},
		{"an OAuth client", func(p *identity.Principal) { p.ClientID = id.New() }, faultv1.Reason_REASON_INSUFFICIENT_SCOPE},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, &account{methods: []string{identity.MethodOTP}, organizations: []*authv1.Organization{{Id: id.New()}}})
			tc.change(b.caller)
			kinds, err := b.export(t, nil)
			if fault.ReasonOf(err) != tc.want || len(kinds) != 0 || b.audited(t) != "0" {
				t.Errorf("got %d records, %v and %s audit events, want none and %v", len(kinds), err, b.audited(t), tc.want)
			}
		})
	}
}

func TestExportMe_ReaderFails_ExportEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, &account{organizations: []*authv1.Organization{{Id: id.New()}}})
	if _, err := b.export(t, errClosed); !errors.Is(err, errClosed) {
		t.Errorf("ExportMe returned %v, want %v", err, errClosed)
	}
	if len(b.history.asked) != 0 {
		t.Error("conversations were read for a reader that had closed its stream")
	}
}
