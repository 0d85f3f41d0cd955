// Package search is the room of search: it finds the chunks of documents that fit a query
// best.
//
// Each query is searched by vector and by full text. One function of the database does both
// and combines the two ranks by reciprocal rank fusion; see search_chunks in the
// migrations. The text of a chunk is a verbatim part of its document. Its offsets count the
// code points of the document's extracted text, so that a citation can be verified.
//
// There are two callers: users, by the RPC of [Service], and the engine, through
// [Service.Searcher]. The RPC returns NOT_FOUND for a collection that the organization does
// not have, whether or not another organization has it. The engine searches the collections
// of an assistant, and some may have been deleted: it finds nothing in those, and searches
// the others.
package search

import "strings"

const (
	// DefaultLimit is how many results there are when the query sets no limit.
	DefaultLimit = 10
	// MaxLimit is how many results there are at most.
	MaxLimit = 50
)

// Query is a query for the documents of an organization.
type Query struct {
	OrganizationID string
	// CollectionIDs are the collections to search. An empty list searches all.
	CollectionIDs []string
	Text          string
	Limit         int
}

// normalize returns a query that the database accepts. It bounds the limit and replaces
// characters that Postgres cannot store in text.
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

// Hit is a chunk that was found.
type Hit struct {
	DocumentID  string
	ChunkID     string
	Title       string
	Text        string
	StartOffset int
	EndOffset   int
	Score       float64
	// VectorRank and TextRank are ranks from 1. A rank is 0 when the chunk was not found
	// in that way.
	VectorRank, TextRank int
}
