package assistant

import (
	"context"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// collectionsField is the field that names collections.
	collectionsField = "assistant.collectionIds"
	// collectionsRetry is how long a client waits after a write that could not
	// be checked.
	collectionsRetry = 5 * time.Second
)

// Collections checks the collections that an assistant names. Another service stores
// them.
type Collections interface {
	// Missing returns the ids that the caller's organization does not have. A caller
	// without the permission to read collections gets PERMISSION_DENIED.
	Missing(ctx context.Context, ids []string) ([]string, error)
}

// checkCollections returns a fault when a collection does not exist or the caller may not
// read it. The fault names the field. A collection that is deleted later stays in the
// assistant, and runs skip it.
func (s *Service) checkCollections(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	missing, err := s.deps.Collections.Missing(ctx, ids)
	if err != nil {
		return uncheckedCollections(err)
	}
	if len(missing) > 0 {
		return fault.NotFound("collection").WithViolation(collectionsField, "names a collection that does not exist")
	}
	return nil
}

// checkAdded checks the collections that an update adds. Those that the assistant already
// has are not checked: a form sends the whole list back, with deleted ones in it.
func (s *Service) checkAdded(ctx context.Context, patch Assistant) error {
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	before, err := s.store.Get(ctx, caller.OrganizationID, patch.ID)
	if err != nil {
		return err
	}
	return s.checkCollections(ctx, id.Without(patch.CollectionIDs, before.CollectionIDs))
}

func uncheckedCollections(err error) error {
	f := fault.From(err)
	switch f.Reason() {
	case faultv1.Reason_REASON_PERMISSION_DENIED, faultv1.Reason_REASON_INSUFFICIENT_SCOPE:
		return fault.Wrap(err, f.Reason(), "%s: %s", collectionsField, f.Detail()).
			WithViolation(collectionsField, "needs the permission knowledge.read")
	case faultv1.Reason_REASON_UNAVAILABLE, faultv1.Reason_REASON_DEADLINE_EXCEEDED:
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE,
			"whether the collections exist cannot be checked now, try again").WithRetryAfter(collectionsRetry)
	default:
		return err
	}
}
