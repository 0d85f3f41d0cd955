package paging

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Query is the query of one list request.
type Query[T any] struct {
	List    List
	Tokens  *Tokens
	Request Request
	// SQL selects the rows and ends with a condition. Read appends the condition of the
	// page with AND.
	SQL string
	// Args are the parameters of SQL. Page tokens are bound to them: a token of another
	// organization, or of another parent, is refused.
	Args []any
	// Table maps the rows, when SQL selects its columns. Then Scan is not needed.
	Table postgres.Table[T]
	// Scan reads a row.
	Scan pgx.RowToFunc[T]
	// Value is as for [Cut]. It is needed only when a column that the list is ordered by is
	// not the tag db of a field of T.
	Value func(row T, field string) any
}

// scan returns Scan, or the scan of the table.
func (q Query[T]) scan() pgx.RowToFunc[T] {
	if q.Scan != nil {
		return q.Scan
	}
	return q.Table.Scan
}

// value returns Value, or a function that finds the field of T whose tag db is the column
// that the list declares. A qualifier before the column ("u.created_at") does not count.
func (q Query[T]) value() func(row T, field string) any {
	if q.Value != nil {
		return q.Value
	}
	return func(row T, field string) any {
		column := q.List.ID
		if declared, ok := q.List.Fields[field]; ok {
			column = declared.Column
		}
		return postgres.FieldOf(row, column[strings.LastIndexByte(column, '.')+1:])
	}
}

// Read reads one page and returns the token of the next one, which is empty at
// the end. It returns the faults of [List.Page] and of the database.
func Read[T any](ctx context.Context, db *postgres.DB, scope postgres.Scope, q Query[T]) (items []T, nextPageToken string, err error) {
	bound := make([]string, len(q.Args))
	for i, arg := range q.Args {
		bound[i] = fmt.Sprint(arg)
	}
	page, err := q.List.Page(q.Tokens, q.Request, len(q.Args)+1, bound...)
	if err != nil {
		return nil, "", err
	}
	args := append(append(make([]any, 0, len(q.Args)+len(page.Args)), q.Args...), page.Args...)
	rows, err := postgres.QueryAll(ctx, db, scope, q.scan(), q.SQL+" AND "+page.Where+page.Tail, args...)
	if err != nil {
		return nil, "", err
	}
	return Cut(page, rows, q.value())
}

// From returns the paging fields of an RPC's request. They have the same names in all
// contracts. The filter and the order are empty when the request has no such field.
func From(req interface {
	GetPageSize() int32
	GetPageToken() string
}) Request {
	out := Request{PageSize: req.GetPageSize(), PageToken: req.GetPageToken()}
	if r, ok := req.(interface{ GetFilter() string }); ok {
		out.Filter = r.GetFilter()
	}
	if r, ok := req.(interface{ GetOrderBy() string }); ok {
		out.OrderBy = r.GetOrderBy()
	}
	return out
}
