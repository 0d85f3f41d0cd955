package search

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// Deps is what the room needs; all of it.
type Deps struct {
	DB *postgres.DB
	// Embedder is the one that documents are indexed with: the vectors of another
	// cannot be compared, and its passages are found by full text alone.
	Embedder embed.Embedder
}

// Service searches, for people by its RPC and for the engine.
type Service struct {
	knowledgev1.UnsafeKnowledgeServiceServer

	store    *store
	embedder embed.Embedder
}

// New returns the service. It refuses an embedder whose vectors the schema does
// not store.
func New(deps Deps) (*Service, error) {
	if deps.DB == nil || deps.Embedder == nil {
		return nil, errors.New("search: every dependency is required")
	}
	if n := deps.Embedder.Dimensions(); n != migrations.Dimensions {
		return nil, fmt.Errorf("search: embedder %s has %d dimensions, the schema stores %d",
			deps.Embedder.Version(), n, migrations.Dimensions)
	}
	return &Service{store: &store{db: deps.DB}, embedder: deps.Embedder}, nil
}

var _ tool.Searcher = (*searcher)(nil)

// Searcher is the service as the engine's tool asks it.
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

// find answers a query of either caller.
func (s *Service) find(ctx context.Context, q Query) ([]Hit, error) {
	q = q.normalize()
	vectors, err := s.embedder.Embed(ctx, []string{q.Text})
	if err != nil {
		return nil, err
	}
	if len(vectors) != 1 {
		return nil, fmt.Errorf("embedder %s: %d vectors for one text", s.embedder.Version(), len(vectors))
	}
	return s.store.search(ctx, q, vectors[0], s.embedder.Version())
}

// searcher gives the engine's tool the method that the RPC's name takes.
type searcher struct{ service *Service }

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

func encode(h Hit) *knowledgev1.SearchResult {
	return &knowledgev1.SearchResult{
		DocumentId:  h.DocumentID,
		ChunkId:     h.ChunkID,
		Title:       h.Title,
		Text:        h.Text,
		StartOffset: int32(h.StartOffset), //nolint:gosec // documents are bounded
		EndOffset:   int32(h.EndOffset),   //nolint:gosec // documents are bounded
		Score:       h.Score,
		VectorRank:  int32(h.VectorRank), //nolint:gosec // results are bounded
		TextRank:    int32(h.TextRank),   //nolint:gosec // results are bounded
	}
}
