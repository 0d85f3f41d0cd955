package search

import knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"

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
