package paging

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
)

// number matches the values of a numeric column. It has no exponent, so that a short text
// cannot be an enormous number.
var number = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,18})?$`)

// compileFilter returns the SQL condition of a filter. An empty filter is "true".
func (l List) compileFilter(text string, args *arguments) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "true", nil
	}
	parsed, err := parseFilter(text)
	if err != nil {
		return "", err
	}
	return l.compile(parsed, args)
}

func (l List) compile(n node, args *arguments) (string, error) {
	switch n := n.(type) {
	case junction:
		parts := make([]string, len(n.parts))
		for i, part := range n.parts {
			compiled, err := l.compile(part, args)
			if err != nil {
				return "", err
			}
			parts[i] = compiled
		}
		return "(" + strings.Join(parts, " "+n.operator+" ") + ")", nil
	case negation:
		inner, err := l.compile(n.of, args)
		if err != nil {
			return "", err
		}
		// A comparison with NULL is not true, so its negation is.
		return "(" + inner + ") IS NOT TRUE", nil
	case comparison:
		return l.compileComparison(n, args)
	default:
		return "", fmt.Errorf("paging: a filter contains a %T", n)
	}
}

func (l List) compileComparison(c comparison, args *arguments) (string, error) {
	field, ok := l.Fields[c.field]
	// The error for a field without Filter is the same as for an unknown field.
	if !ok || !field.Filter {
		return "", fault.Invalid("filter", "cannot filter by %.40q", c.field)
	}
	if !slices.Contains(operators(field.Type), c.operator) {
		return "", fault.Invalid("filter", "the operator %q cannot be used with %q", c.operator, c.field)
	}
	if problem := checkValue(field, c.value); problem != "" {
		return "", fault.Invalid("filter", "%q is compared with %.40q, which is not %s", c.field, c.value, problem)
	}
	if field.Type == Time {
		c.value = normalizeTime(c.value)
	}
	if c.operator != ":" {
		return field.Column + " " + sqlOperator(c.operator) + " " + args.add(c.value) + cast(field.Type), nil
	}
	if field.Type == StringArray {
		return args.add(c.value) + "::text = ANY (" + field.Column + ")", nil
	}
	return field.Column + " ILIKE " + args.add("%"+escapeLike(c.value)+"%") + "::text", nil
}

func operators(t Type) []string {
	switch t {
	case String:
		return []string{"=", "!=", "<", "<=", ">", ">=", ":"}
	case Number, Time:
		return []string{"=", "!=", "<", "<=", ">", ">="}
	case StringArray:
		return []string{":"}
	default:
		return []string{"=", "!="}
	}
}

// sqlOperator returns the SQL operator. A NULL is != to every value.
func sqlOperator(operator string) string {
	if operator == "!=" {
		return "IS DISTINCT FROM"
	}
	return operator
}

// checkValue returns a description of the values that the field accepts, or "" when the
// value is one of them.
func checkValue(field Field, value string) string {
	switch field.Type {
	case Number:
		if !number.MatchString(value) {
			return "a number"
		}
	case Bool:
		if value != "true" && value != "false" {
			return "true or false"
		}
	case Time:
		if at, err := time.Parse(time.RFC3339Nano, value); err != nil || at.UTC().Year() < 1 {
			return "a time such as 2026-01-31T12:00:00Z"
		}
	case UUID:
		if !id.Valid(value) {
			return "an id"
		}
	case Enum:
		if !slices.Contains(field.Values, value) {
			return "one of " + strings.Join(field.Values, ", ")
		}
	case String, StringArray:
	}
	return ""
}

// normalizeTime formats a checked time for Postgres: Go also accepts a comma before the
// fraction, and Postgres does not.
func normalizeTime(value string) string {
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return value
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// escapeLike escapes the special characters of LIKE.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
