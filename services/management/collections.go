package management

import (
	"context"
	"time"

	"google.golang.org/grpc"

	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// collectionsTimeout bounds a question to chat, which a write waits for.
const collectionsTimeout = 3 * time.Second

// collections asks chat, which keeps collections, whether some exist. It asks in the name
// of the caller, only while an assistant is written that names collections, and chat asks
// nothing back (decision 0022).
type collections struct {
	client knowledgev1.CollectionDirectoryServiceClient
}

func newCollections(chat grpc.ClientConnInterface) collections {
	return collections{client: knowledgev1.NewCollectionDirectoryServiceClient(chat)}
}

// Missing implements assistant.Collections.
func (c collections) Missing(ctx context.Context, ids []string) ([]string, error) {
	bounded, cancel := context.WithTimeout(ctx, collectionsTimeout)
	defer cancel()
	out, err := c.client.CheckCollections(bounded, &knowledgev1.CheckCollectionsRequest{CollectionIds: ids})
	return out.GetMissingCollectionIds(), err //nolint:wrapcheck // a status, which fault.From understands
}
