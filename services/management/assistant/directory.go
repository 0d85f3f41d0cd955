package assistant

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// Channel announces each changed assistant, by its id, to services that cache
// them.
const Channel = "management_assistants"

// Directory answers other services about assistants.
type Directory struct {
	managementv1.UnsafeAssistantDirectoryServiceServer

	store *Store
}

// NewDirectory returns the directory.
func NewDirectory(store *Store) *Directory { return &Directory{store: store} }

// ResolveAssistant implements the RPC.
func (d *Directory) ResolveAssistant(ctx context.Context, req *managementv1.ResolveAssistantRequest) (*managementv1.Assistant, error) {
	a, err := d.store.Get(ctx, req.GetOrganizationId(), req.GetId())
	if err == nil && a.DeleteTime != nil {
		err = fault.NotFound(resourceType)
	}
	return reply(a, err)
}
