package assistant

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// Channel announces the id of each changed assistant to services that cache assistants.
const Channel = "management_assistants"

// directory serves assistants to other services.
type directory struct {
	managementv1.UnsafeAssistantDirectoryServiceServer

	store store
}

// ResolveAssistant implements the RPC.
func (d *directory) ResolveAssistant(ctx context.Context, req *managementv1.ResolveAssistantRequest) (*managementv1.Assistant, error) {
	a, err := d.store.Get(ctx, req.GetOrganizationId(), req.GetId())
	if err == nil && a.DeleteTime != nil {
		err = fault.NotFound(kind.Noun())
	}
	return entity.Reply(encode, a, err)
}
