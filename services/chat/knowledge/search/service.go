package search

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// Deps is what the room needs.
type Deps struct {
	DB *postgres.DB
	// Embedder is the embedder with which documents are indexed. Vectors of different
	// embedders cannot be compared, so chunks of another embedder are found by full text
	// only.
	Embedder embed.Embedder
}

// Service searches documents, for users by its RPC and for the engine.
type Service struct {
	knowledgev1.UnsafeKnowledgeServiceServer

	deps  Deps
	store *store
}

// New builds the room. It refuses an embedder whose vectors the schema cannot store.
func New(d Deps) (*Service, error) {
	if err := deps.Check("search", d); err != nil {
		return nil, err
	}
	if n := d.Embedder.Dimensions(); n != migrations.Dimensions {
		return nil, fmt.Errorf("search: embedder %s has %d dimensions, the schema stores %d",
			d.Embedder.Version(), n, migrations.Dimensions)
	}
	return &Service{deps: d, store: &store{db: d.DB}}, nil
}

// Register adds the room's RPC to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	knowledgev1.RegisterKnowledgeServiceServer(server, s)
}

// Tables returns nothing, because the room owns no table.
func (*Service) Tables() []room.Table { return nil }

// Searcher returns the search of the engine's tool.
func (s *Service) Searcher() tool.Searcher { return &searcher{s} }

// Search implements the RPC.
func (s *Service) Search(ctx context.Context, req *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return nil, identity.Unauthenticated()
	}
	if err := s.store.checkCollections(ctx, caller.OrganizationID, req.GetCollectionIds()); err != nil {
		return nil, err
	}
	hits, err := s.find(ctx, Query{
		OrganizationID: caller.OrganizationID, CollectionIDs: req.GetCollectionIds(),
		Text: req.GetQuery(), Limit: int(req.GetLimit()),
	})
	if err != nil {
		return nil, err
	}
	out := &knowledgev1.SearchResponse{}
	for _, h := range hits {
		out.Results = append(out.Results, encode(h))
	}
	return out, nil
}

// find returns the best chunks for a query of either caller.
func (s *Service) find(ctx context.Context, q Query) ([]Hit, error) {
	q = q.normalize()
	vectors, err := s.deps.Embedder.Embed(ctx, []string{q.Text})
	if err != nil {
		return nil, err
	}
	if len(vectors) != 1 {
		return nil, fmt.Errorf("embedder %s: %d vectors for one text", s.deps.Embedder.Version(), len(vectors))
	}
	return s.store.search(ctx, q, vectors[0], s.deps.Embedder.Version())
}

// searcher has a method Search for the engine's tool. The service has one for the RPC.
type searcher struct{ service *Service }

var _ tool.Searcher = (*searcher)(nil)

// Search implements tool.Searcher.
func (s *searcher) Search(ctx context.Context, caller tool.Caller, query string, limit int) ([]tool.Passage, error) {
	hits, err := s.service.find(ctx, Query{
		OrganizationID: caller.OrganizationID, CollectionIDs: caller.CollectionIDs, Text: query, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	passages := make([]tool.Passage, len(hits))
	for i, h := range hits {
		passages[i] = tool.Passage{
			DocumentID: h.DocumentID, ChunkID: h.ChunkID, Title: h.Title, Text: h.Text,
			StartOffset: h.StartOffset, EndOffset: h.EndOffset, Score: h.Score,
		}
	}
	return passages, nil
}
