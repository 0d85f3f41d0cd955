// Package paging turns a list request into SQL: its page size, page token,
// filter and order.
//
// A list declares what may be asked of it:
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
// and its store reads a page of it so:
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
// Pages are cut by key, not by offset: a page continues after the row that the
// last one ended with, whatever was added or removed meanwhile, and the last
// page costs what the first does. The id breaks ties. Columns to order by must
// not be NULL, as NULL compares with nothing.
//
// # Filters
//
// The language is that of AIP-160, without functions and without bare search
// terms:
//
//	name : "help" AND (enabled = true OR NOT createTime < "2026-01-01T00:00:00Z")
//
// As that document has it, OR binds closer than AND, and terms side by side are
// joined by AND. The operators are =, !=, <, <=, >, >= and ":", which is
// containment: of a text in a String, without regard to case, or of an element
// in a StringArray. Values become parameters; column names come from the
// declaration alone.
//
// # Tokens
//
// A token carries the sort values of the last row, signed together with the
// list's name, the filter, the order and what the query is bound to (the
// organization, a parent). One that was altered, or comes from another query
// or tenant, is refused.
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

// Type says how a column compares and how a value of it is written.
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
	// Enum is text that is one of Field.Values; it compares with = and != alone.
	Enum
	// StringArray is text[]; the only operator is ":".
	StringArray
)

// Field is a field that a list can be filtered or ordered by.
type Field struct {
	// Column is the SQL expression; it is ours, never the caller's.
	Column string
	// Type is that of the column.
	Type Type
	// Filter and Order allow the field in a filter and in orderBy.
	Filter, Order bool
	// Values are those of an Enum.
	Values []string
}

// List declares what may be asked of a list. It is a constant in spirit.
type List struct {
	// Name tells the list's tokens from those of other lists.
	Name string
	// Fields are known by their names in JSON's spelling.
	Fields map[string]Field
	// ID is the column of the unique uuid that breaks ties.
	ID string
	// DefaultOrder is used when the request has none.
	DefaultOrder string
	// MaxPageSize is the most rows of a page; 0 means 100. More is for what services
	// tell each other.
	MaxPageSize int32
}

// Request is what the caller asks for.
type Request struct {
	// PageSize is the number of rows: 0 means 20, and the list's most is the most.
	PageSize int32
	// PageToken continues an earlier list; empty begins.
	PageToken string
	// Filter and OrderBy are as the package comment says.
	Filter, OrderBy string
}

// Page is a request as SQL.
type Page struct {
	// Where is a condition in parentheses, for after an AND.
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
// firstArg. What else the query depends on is bound into its tokens: the id of
// the organization, and that of a parent, if there is one.
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
	// One more row than asked for tells whether there is a next page.
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

// binder is what a token is signed together with. Lengths keep two different
// lists of parts from reading alike.
func (l List) binder(req Request, order []term, bound []string) string {
	var b strings.Builder
	for _, part := range append([]string{l.Name, req.Filter, orderSQL(order)}, bound...) {
		fmt.Fprintf(&b, "%d:%s", len(part), part)
	}
	return b.String()
}

// Cut takes the surplus row off and returns the token of the next page, which
// is empty at the end. value returns a row's value of a field of the order:
// string, bool, a number, time.Time; for any name that is not in the list's
// Fields, the row's id.
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
