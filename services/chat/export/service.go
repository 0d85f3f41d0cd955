package export

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// Conversations reads the conversations of a user.
type Conversations interface {
	// Page returns a page of a user's conversations in an organization, and the token of
	// the next page.
	Page(ctx context.Context, scope postgres.Scope, req paging.Request) ([]*chatv1.Conversation, string, error)
	// Messages returns a page of a conversation's messages, oldest first, and the token of
	// the next page.
	Messages(ctx context.Context, scope postgres.Scope, conversationID string, req paging.Request) ([]*chatv1.Message, string, error)
}

// Deps is what the room needs.
type Deps struct {
	DB *postgres.DB
	// Auth is a connection to the auth service that carries the caller's credential.
	Auth          grpc.ClientConnInterface
	Conversations Conversations
	Trail         *audit.Trail
	Clock         clock.Clock
}

// Service implements the RPC.
type Service struct {
	chatv1.UnsafeExportServiceServer

	deps  Deps
	store store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("export", d); err != nil {
		return nil, err
	}
	return &Service{deps: d, store: store{db: d.DB, trail: d.Trail}}, nil
}

// Register adds the room's RPC to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	chatv1.RegisterExportServiceServer(server, s)
}

// Tables returns nothing, because the room owns no table.
func (*Service) Tables() []room.Table { return nil }

// ExportMe implements the RPC.
func (s *Service) ExportMe(_ *chatv1.ExportMeRequest, stream grpc.ServerStreamingServer[chatv1.ExportRecord]) error {
	ctx := stream.Context()
	p, err := identity.RequireFresh(ctx, s.deps.Clock, identity.MaxAuthAge)
	if err != nil {
		return err
	}
	factors, err := authv1.NewFactorServiceClient(s.deps.Auth).GetFactors(ctx, &authv1.GetFactorsRequest{})
	if err != nil {
		return fault.From(err)
	}
	if len(factors.GetMethods()) > 0 && !identity.ShowedFactor(p.Methods) {
		return identity.StepUpRequired()
	}
	if err := s.store.record(ctx, postgres.Scope{OrganizationID: p.OrganizationID, UserID: p.UserID}); err != nil {
		return err
	}
	if err := stream.SendHeader(nil); err != nil {
		return fault.From(err)
	}
	x := &exporter{service: s, stream: stream, userID: p.UserID}
	for _, step := range []func(ctx context.Context) error{
		x.account, func(context.Context) error {
			return x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Factors{Factors: factors}})
		},
		x.organizations, x.sessions, x.keys, x.passkeys, x.grants, x.identities, x.conversations,
	} {
		if err := step(ctx); err != nil {
			return fault.From(err)
		}
	}
	return nil
}
