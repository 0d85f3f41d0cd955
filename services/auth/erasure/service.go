// Package erasure is the room of what is gone for good: users and organizations
// whose rows the other services must erase. Other rooms tell it in the transaction
// that ends them; the services follow it by the RPC of this room
// (platform/erasure), since none of them may be called by auth.
package erasure

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/paging"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Service implements the RPC.
type Service struct {
	authv1.UnsafeErasureServiceServer

	store *Store
}

// NewService returns the service.
func NewService(store *Store) (*Service, error) {
	if store == nil {
		return nil, errors.New("erasure: a store is required")
	}
	return &Service{store: store}, nil
}

// ListErasures implements the RPC.
func (s *Service) ListErasures(ctx context.Context, req *authv1.ListErasuresRequest) (*authv1.ListErasuresResponse, error) {
	since := time.Unix(0, 0)
	if req.GetSinceTime() != nil {
		since = req.GetSinceTime().AsTime()
	}
	found, next, err := s.store.list(ctx, since, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListErasuresResponse{NextPageToken: next}
	for _, e := range found {
		out.Erasures = append(out.Erasures, &authv1.Erasure{
			Id: e.ID, UserId: e.UserID, OrganizationId: e.OrganizationID, Time: timestamppb.New(e.Time),
		})
	}
	return out, nil
}
