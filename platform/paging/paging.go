// Package paging compiles the page size, page token, filter and order of a list request
// to SQL.
//
// A list declares its fields:
//
//	var assistants = paging.List{
//		Name: "assistants",
//		ID:   "id",
//		Fields: map[string]paging.Field{
//			"name":       {Column: "name", Type: paging.String, Filter: true, Order: true},
//			"createTime": {Column: "created_at", Type: paging.Time, Filter: true, Order: true},
//		},
//		DefaultOrder: "createTime desc",
//	}
//
// and its store reads a page:
//
//	return paging.Read(ctx, db, scope, paging.Query[Assistant]{
//		List: assistants, Tokens: tokens, Request: request,
//		SQL:  "SELECT … FROM assistant WHERE organization_id = $1", Args: []any{organizationID},
//		Scan: scan, Value: func(a Assistant, field string) any {
//			switch field {
//			case "name":
//				return a.Name
//			case "createTime":
//				return a.CreateTime
//			default:
//				return a.ID
//			}
//		},
//	})
//
// Pages continue by key, not by offset: a page begins after the last row of the previous
// page, even if rows were added or removed in between, and the last page costs as much
// as the first. The id breaks ties. Columns to order by must not be NULL, because a
// comparison with NULL is never true.
//
// # Filters
//
// The language is that of AIP-160, without functions and without bare search
// terms:
//
//	name : "help" AND (enabled = true OR NOT createTime < "2026-01-01T00:00:00Z")
//
// As in AIP-160, OR binds closer than AND, and terms without an operator between them
// are joined by AND. The operators are =, !=, <, <=, >, >= and ":". The operator ":"
// means that a String contains a text (case is ignored), or that a StringArray contains
// an element. Values become parameters. Column names come only from the declaration.
//
// # Tokens
//
// A token contains the sort values of the last row. Its signature also covers the name of
// the list, the filter, the order and the other parameters of the query (the
// organization, a parent). A token that was changed, or that belongs to another query or
// tenant, is refused.
package paging

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
)

const (
	defaultPageSize = 20
	maxPageSize     = 100
)

// Type is the type of a column. It decides how values are compared and written.
type Type int

// The types of columns.
const (
	// String is text.
	String Type = iota + 1
	// Number is any numeric type.
	Number
	// Bool is boolean.
	Bool
	// Time is timestamptz; values are RFC 3339.
	Time
	// UUID is uuid.
	UUID
	// Enum is text that is one of Field.Values. Its only operators are = and !=.
	Enum
	// StringArray is text[]; the only operator is ":".
	StringArray
)

// Field is a field that a list can be filtered or ordered by.
type Field struct {
	// Column is the SQL expression. It must be a constant, never input of a caller.
	Column string
	// Type is the type of the column.
	Type Type
	// Filter and Order allow the field in a filter and in orderBy.
	Filter, Order bool
	// Values are the values of an Enum.
	Values []string
}

// List declares the fields and limits of a list. It must not be changed.
type List struct {
	// Name distinguishes the list's tokens from the tokens of other lists.
	Name string
	// Fields are the fields by their names in JSON.
	Fields map[string]Field
	// ID is the column of the unique uuid that breaks ties.
	ID string
	// DefaultOrder is used when the request has none.
	DefaultOrder string
	// MaxPageSize is the largest number of rows of a page; 0 means 100. Only internal
	// RPCs set more.
	MaxPageSize int32
}

// Request contains the paging fields of a list request.
type Request struct {
	// PageSize is the number of rows. 0 means 20. The list's MaxPageSize limits it.
	PageSize int32
	// PageToken continues an earlier list. Empty means the first page.
	PageToken string
	// Filter and OrderBy are described in the package comment.
	Filter, OrderBy string
}

// Page is a request as SQL.
type Page struct {
	// Where is a condition in parentheses, to append after an AND.
	Where string
	// Tail is " ORDER BY … LIMIT …".
	Tail string
	// Args are the values of the parameters in Where.
	Args []any

	size   int
	order  []term
	tokens *Tokens
	binder string
}

// Page checks a request and compiles it. Its parameters are numbered from
// firstArg. Its tokens are valid only for a query with the same bound values, such as
// the ids of the organization and of a parent.
//
// The fault of a bad request names the field: pageSize, pageToken, filter or
// orderBy.
func (l List) Page(tokens *Tokens, req Request, firstArg int, bound ...string) (Page, error) {
	size, err := l.pageSize(req.PageSize)
	if err != nil {
		return Page{}, err
	}
	order, err := l.order(req.OrderBy)
	if err != nil {
		return Page{}, err
	}
	args := arguments{first: firstArg}
	condition, err := l.compileFilter(req.Filter, &args)
	if err != nil {
		return Page{}, err
	}
	page := Page{size: size, order: order, tokens: tokens, binder: l.binder(req, order, bound)}
	if req.PageToken != "" {
		values, err := tokens.decode(req.PageToken, page.binder)
		if err != nil || len(values) != len(order) {
			return Page{}, fault.Invalid("pageToken", "does not belong to this list, filter and order")
		}
		condition += " AND " + after(order, values, &args)
	}
	page.Where, page.Args = "("+condition+")", args.values
	// One additional row shows whether there is a next page.
	page.Tail = fmt.Sprintf(" ORDER BY %s LIMIT %d", orderSQL(order), size+1)
	return page, nil
}

func (l List) pageSize(asked int32) (int, error) {
	switch {
	case asked < 0:
		return 0, fault.Invalid("pageSize", "must not be negative")
	case asked == 0:
		return defaultPageSize, nil
	default:
		return int(min(asked, cmp.Or(l.MaxPageSize, maxPageSize))), nil
	}
}

// binder returns the text that the signature of a token covers. The lengths make the
// texts of two different lists of parts different.
func (l List) binder(req Request, order []term, bound []string) string {
	var b strings.Builder
	for _, part := range append([]string{l.Name, req.Filter, orderSQL(order)}, bound...) {
		fmt.Fprintf(&b, "%d:%s", len(part), part)
	}
	return b.String()
}

// Cut removes the additional row and returns the token of the next page, which is empty
// at the end. The function value returns the value of a field of the order: string,
// bool, a number or time.Time. For a name that is not in the list's Fields, it returns
// the row's id.
func Cut[T any](page Page, rows []T, value func(row T, field string) any) (items []T, nextPageToken string, err error) {
	more := len(rows) > page.size
	if items = rows; more {
		items = rows[:page.size]
	}
	if len(items) == 0 {
		return items, "", nil
	}
	// Also without a next page: so the first row that a test lists shows a missing value.
	last := items[len(items)-1]
	values := make([]string, len(page.order))
	for i, term := range page.order {
		if values[i], err = sortValue(value(last, term.name)); err != nil {
			return nil, "", fault.From(fmt.Errorf("paging: %s: %w", term.name, err))
		}
	}
	if !more {
		return items, "", nil
	}
	token, err := page.tokens.encode(values, page.binder)
	if err != nil {
		return nil, "", fault.From(err)
	}
	return items, token, nil
}

// arguments collects parameters and numbers them.
type arguments struct {
	first  int
	values []any
}

func (a *arguments) add(value any) string {
	a.values = append(a.values, value)
	return fmt.Sprintf("$%d", a.first+len(a.values)-1)
}
