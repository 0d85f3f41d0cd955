package revocation

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// PageSize is how many revocations are asked for at once. What happened in the last
// seconds is asked for again every second, and one change may concern thousands.
const PageSize = 5000

// Remote reads the feed over a connection to auth, which carries this service's
// credential.
func Remote(auth grpc.ClientConnInterface) Source {
	client := authv1.NewRevocationServiceClient(auth)
	return func(ctx context.Context, since time.Time) ([]Revocation, error) {
		var out []Revocation
		req := &authv1.ListRevocationsRequest{SinceTime: timestamppb.New(since), PageSize: PageSize}
		for {
			page, err := client.ListRevocations(ctx, req)
			if err != nil {
				return nil, err //nolint:wrapcheck // a status, which fault.From understands
			}
			for _, r := range page.GetRevocations() {
				out = append(out, Revocation{
					ID: r.GetId(), SessionID: r.GetSessionId(), UserID: r.GetUserId(), OrganizationID: r.GetOrganizationId(),
					ClientID: r.GetClientId(),
					Time:     r.GetTime().AsTime(),
				})
			}
			if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
				return out, nil
			}
		}
	}
}
