// Package search is the room of search: it finds the passages of documents that
// fit a question best.
//
// Each question is asked twice, by vector and by full text, and the two ranks
// are fused (reciprocal rank fusion), in one function of the database; see
// search_chunks in the migrations. A passage is what the document says, verbatim,
// with offsets that count the code points of its extracted text, so whoever
// cites it can be checked.
//
// Two callers ask: people, by the RPC of [Service], and the engine, through
// [Service.Searcher]. An RPC that names a collection which the organization does
// not have is NOT_FOUND, whether it is another's or nobody's. The engine asks
// with an assistant's collections, one of which may have been deleted since:
// there it finds nothing, and the others still answer.
package search

import "strings"

const (
	// DefaultLimit is how many results there are when nobody says.
	DefaultLimit = 10
	// MaxLimit is how many results there are at most.
	MaxLimit = 50
)

// Query is a question to an organization's documents.
type Query struct {
	OrganizationID string
	// CollectionIDs are where to look; empty looks everywhere.
	CollectionIDs []string
	Text          string
	Limit         int
}

// normalize makes a query that the database can be asked: it bounds the limit
// and takes out what Postgres refuses in text.
func (q Query) normalize() Query {
	q.Text = strings.ReplaceAll(strings.ToValidUTF8(q.Text, " "), "\x00", " ")
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	if q.CollectionIDs == nil {
		q.CollectionIDs = []string{}
	}
	return q
}

// Hit is a passage that was found.
type Hit struct {
	DocumentID  string
	ChunkID     string
	Title       string
	Text        string
	StartOffset int
	EndOffset   int
	Score       float64
	// VectorRank and TextRank are places from 1, 0 when the passage was not found
	// that way.
	VectorRank, TextRank int
}
