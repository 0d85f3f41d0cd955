package paging

import (
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
)

const (
	maxFilterLength = 4 << 10
	maxFilterTerms  = 50
	maxFilterDepth  = 10
)

// node is a parsed filter: a junction, negation or comparison.
type node interface{ isNode() }

type (
	// junction joins its parts by AND or OR.
	junction struct {
		operator string
		parts    []node
	}
	negation   struct{ of node }
	comparison struct{ field, operator, value string }
)

func (junction) isNode()   {}
func (negation) isNode()   {}
func (comparison) isNode() {}

// parser parses a filter by recursive descent. Depth and the number of terms are bounded,
// so a caller cannot make the stack or the statement large.
type parser struct {
	text  string
	at    int
	depth int
	terms int
}

func parseFilter(text string) (node, error) {
	switch {
	case len(text) > maxFilterLength:
		return nil, fault.Invalid("filter", "is longer than %d bytes", maxFilterLength)
	case !utf8.ValidString(text):
		return nil, fault.Invalid("filter", "is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return nil, fault.Invalid("filter", "contains a NUL character")
	}
	p := &parser{text: text}
	parsed, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(p.text) {
		return nil, p.fail("an unexpected %q", p.text[p.at:p.at+p.runeSize()])
	}
	return parsed, nil
}

// expression = factor { ["AND"] factor }
func (p *parser) expression() (node, error) {
	if p.depth++; p.depth > maxFilterDepth {
		return nil, fault.Invalid("filter", "nests deeper than %d", maxFilterDepth)
	}
	defer func() { p.depth-- }()
	var parts []node
	for {
		part, err := p.factor()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if p.keyword("AND") {
			continue
		}
		if p.skip(); p.at == len(p.text) || p.text[p.at] == ')' {
			return join("AND", parts), nil
		}
	}
}

// factor = term { "OR" term }
func (p *parser) factor() (node, error) {
	var parts []node
	for {
		part, err := p.term()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !p.keyword("OR") {
			return join("OR", parts), nil
		}
	}
}

// term = ["NOT" | "-"] ( "(" expression ")" | comparison )
func (p *parser) term() (node, error) {
	if p.keyword("NOT") || p.symbol("-") {
		inner, err := p.simple()
		return negation{inner}, err
	}
	return p.simple()
}

func (p *parser) simple() (node, error) {
	if !p.symbol("(") {
		return p.comparison()
	}
	inner, err := p.expression()
	if err != nil {
		return nil, err
	}
	if !p.symbol(")") {
		return nil, p.fail("a parenthesis is not closed")
	}
	return inner, nil
}

func (p *parser) comparison() (node, error) {
	if p.terms++; p.terms > maxFilterTerms {
		return nil, fault.Invalid("filter", "has more than %d terms", maxFilterTerms)
	}
	field := p.name()
	if field == "" {
		return nil, p.fail("expected a field")
	}
	for _, operator := range []string{"!=", "<=", ">=", "=", "<", ">", ":"} {
		if p.symbol(operator) {
			value, err := p.value()
			return comparison{field, operator, value}, err
		}
	}
	return nil, p.fail("expected one of = != < <= > >= : after %.40q", field)
}

// name reads letters, digits, underscores and dots.
func (p *parser) name() string {
	p.skip()
	start := p.at
	for p.at < len(p.text) && isNameByte(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}

// value reads a quoted string, or a word up to the next space or parenthesis:
// numbers, true, names of an enumeration, times.
func (p *parser) value() (string, error) {
	p.skip()
	if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
		return p.quoted(p.text[p.at])
	}
	start := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n()\"'", rune(p.text[p.at])) {
		p.at++
	}
	if p.at == start {
		return "", p.fail("expected a value")
	}
	return p.text[start:p.at], nil
}

// quoted reads up to the closing quote. A backslash escapes the next character.
func (p *parser) quoted(quote byte) (string, error) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail("a quoted text is not closed")
}

func (p *parser) skip() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) symbol(s string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// keyword skips a keyword and reports whether it was there. A keyword is not the
// beginning of a longer word.
func (p *parser) keyword(word string) bool {
	p.skip()
	end := p.at + len(word)
	if !strings.HasPrefix(p.text[p.at:], word) || end < len(p.text) && isNameByte(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

func (p *parser) runeSize() int {
	_, size := utf8.DecodeRuneInString(p.text[p.at:])
	return size
}

func (p *parser) fail(format string, args ...any) error {
	where := utf8.RuneCountInString(p.text[:p.at]) + 1
	return fault.Invalid("filter", "at character %d: "+format, append([]any{where}, args...)...)
}

func join(operator string, parts []node) node {
	if len(parts) == 1 {
		return parts[0]
	}
	return junction{operator, parts}
}
