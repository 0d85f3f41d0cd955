package paging

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// maxOrderTerms bounds the fields of an order.
const maxOrderTerms = 5

// idField is the name that Cut passes to value for the tie breaker.
const idField = "id"

// term is one column of the order.
type term struct {
	name       string
	field      Field
	descending bool
}

// order parses "name, createTime desc" and ends it with the id.
func (l List) order(text string) ([]term, error) {
	if strings.TrimSpace(text) == "" {
		text = l.DefaultOrder
	}
	id := term{name: idField, field: Field{Column: l.ID, Type: UUID, Order: true}}
	var terms []term
	for part := range strings.SplitSeq(text, ",") {
		next, err := l.orderTerm(part)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(terms, func(t term) bool { return t.name == next.name }) {
			return nil, fault.Invalid("orderBy", "names %q twice", next.name)
		}
		if terms = append(terms, next); len(terms) > maxOrderTerms {
			return nil, fault.Invalid("orderBy", "has more than %d fields", maxOrderTerms)
		}
		// The same direction as the rest lets one index serve the whole order.
		id.descending = next.descending
	}
	if last := terms[len(terms)-1]; last.field.Column == l.ID {
		return terms, nil
	}
	return append(terms, id), nil
}

func (l List) orderTerm(text string) (term, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return term{}, fault.Invalid("orderBy", `must be fields with "asc" or "desc", separated by commas`)
	}
	field, ok := l.Fields[words[0]]
	if !ok || !field.Order {
		return term{}, fault.Invalid("orderBy", "cannot order by %.40q", words[0])
	}
	next := term{name: words[0], field: field}
	if len(words) == 2 {
		switch words[1] {
		case "asc":
		case "desc":
			next.descending = true
		default:
			return term{}, fault.Invalid("orderBy", `%.40q is neither "asc" nor "desc"`, words[1])
		}
	}
	return next, nil
}

func orderSQL(order []term) string {
	parts := make([]string, len(order))
	for i, t := range order {
		parts[i] = t.field.Column
		if t.descending {
			parts[i] += " DESC"
		}
	}
	return strings.Join(parts, ", ")
}

// after returns the condition for the rows after the row with these values. When all
// fields have the same direction, it is a comparison of rows, which can use an index.
// Otherwise it is a disjunction.
func after(order []term, values []string, args *arguments) string {
	columns, parameters := make([]string, len(order)), make([]string, len(order))
	mixed := false
	for i, t := range order {
		columns[i] = t.field.Column
		parameters[i] = args.add(values[i]) + cast(t.field.Type)
		mixed = mixed || t.descending != order[0].descending
	}
	if !mixed {
		return fmt.Sprintf("(%s) %s (%s)", strings.Join(columns, ", "), beyond(order[0]), strings.Join(parameters, ", "))
	}
	alternatives := make([]string, len(order))
	for i, t := range order {
		var conditions []string
		for j := range i {
			conditions = append(conditions, columns[j]+" = "+parameters[j])
		}
		conditions = append(conditions, columns[i]+" "+beyond(t)+" "+parameters[i])
		alternatives[i] = strings.Join(conditions, " AND ")
	}
	return "(" + strings.Join(alternatives, " OR ") + ")"
}

func beyond(t term) string {
	if t.descending {
		return "<"
	}
	return ">"
}

// sortValue formats a value so that parsing it returns exactly the same value.
func sortValue(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int32:
		return strconv.FormatInt(int64(v), 10), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	default:
		return "", fmt.Errorf("a value of type %T cannot be ordered by", value)
	}
}

// cast returns the SQL cast from text to the column's type.
func cast(t Type) string {
	switch t {
	case Number:
		return "::text::numeric"
	case Bool:
		return "::text::boolean"
	case Time:
		return "::text::timestamptz"
	case UUID:
		return "::text::uuid"
	default:
		return "::text"
	}
}
