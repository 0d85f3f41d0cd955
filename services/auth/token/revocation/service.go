// Package revocation is the room of what ends access tokens before their time.
// Other rooms tell it in the transaction of what they end; the services of the
// suite follow it by the RPC of this room (platform/revocation).
package revocation

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/paging"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Service implements the RPCs of revocations.
type Service struct {
	authv1.UnsafeRevocationServiceServer

	store *Store
}

// NewService returns the service.
func NewService(store *Store) (*Service, error) {
	if store == nil {
		return nil, errors.New("revocation: a store is required")
	}
	return &Service{store: store}, nil
}

// ListRevocations implements the RPC.
func (s *Service) ListRevocations(ctx context.Context, req *authv1.ListRevocationsRequest) (*authv1.ListRevocationsResponse, error) {
	found, next, err := s.store.List(ctx, req.GetSinceTime().AsTime(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListRevocationsResponse{NextPageToken: next}
	for _, r := range found {
		out.Revocations = append(out.Revocations, &authv1.Revocation{
			Id: r.ID, SessionId: r.SessionID, UserId: r.UserID, OrganizationId: r.OrganizationID, ClientId: r.ClientID, Time: timestamppb.New(r.Time),
		})
	}
	return out, nil
}
