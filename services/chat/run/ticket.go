package run

import (
	"context"
	"strings"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

// Tickets issues tickets for the streams of runs; *ticket.Service implements it.
type Tickets interface {
	// Issue returns a ticket for a run of the calling user.
	Issue(ctx context.Context, scope postgres.Scope, runID string) (string, error)
}

// CreateEventsTicket implements the RPC.
func (s *Service) CreateEventsTicket(ctx context.Context, req *chatv1.CreateEventsTicketRequest) (*chatv1.CreateEventsTicketResponse, error) {
	scope, err := conversation.Caller(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.manager.get(ctx, scope, req.GetRunId()); err != nil {
		return nil, err
	}
	issued, err := s.deps.Tickets.Issue(ctx, scope, req.GetRunId())
	if err != nil {
		return nil, err
	}
	return &chatv1.CreateEventsTicketResponse{Ticket: issued, ExpiresIn: int32(ticket.Lifetime.Seconds())}, nil
}

// checkTicket refuses a caller whose ticket is for another run. The ticket cannot be used
// again in either case.
func checkTicket(ctx context.Context, runID string) error {
	principal, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	if principal.Resource != "" && !strings.EqualFold(principal.Resource, runID) {
		return identity.Unauthenticated()
	}
	return nil
}
