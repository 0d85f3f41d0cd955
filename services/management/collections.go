package management

import (
	"context"
	"time"

	"google.golang.org/grpc"

	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// collectionsTimeout bounds a call to chat. A write waits for it.
const collectionsTimeout = 3 * time.Second

// collections checks collections with chat, which stores them. It calls on behalf of the
// caller, and only when an assistant names collections. Chat never calls management for
// this (decision 0022).
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
	return out.GetMissingCollectionIds(), err
}
