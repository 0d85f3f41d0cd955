package tool

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

// parser evaluates an expression while it parses, by recursive descent:
//
//	expression = term { ("+" | "-") term }
//	term       = unary { ("*" | "/" | "%" | "of") unary }
//	unary      = { "+" | "-" } power
//	power      = percent [ ("^" | "**") unary ]
//	percent    = primary { "%" }          if no operand follows the sign
//	primary    = number | "(" expression ")"
type parser struct {
	text  string
	at    int
	depth int
}

func (p *parser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

// accept reads the first of the given signs that is next.
func (p *parser) accept(signs ...string) (string, bool) {
	p.space()
	for _, sign := range signs {
		if strings.HasPrefix(p.text[p.at:], sign) {
			p.at += len(sign)
			return sign, true
		}
	}
	return "", false
}

func (p *parser) unexpected() error {
	if p.at >= len(p.text) {
		return mistake("The expression ends too early.")
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return mistake("%q at position %d is not expected there.", r, utf8.RuneCountInString(p.text[:p.at])+1)
}

func (p *parser) expression() (*big.Rat, error) {
	value, err := p.term()
	for err == nil {
		sign, ok := p.accept("+", "-", "−")
		if !ok {
			return value, nil
		}
		var right *big.Rat
		if right, err = p.term(); err != nil {
			break
		}
		if sign == "+" {
			value = new(big.Rat).Add(value, right)
		} else {
			value = new(big.Rat).Sub(value, right)
		}
		err = bounded(value)
	}
	return nil, err
}

func (p *parser) term() (*big.Rat, error) {
	value, err := p.unary()
	for err == nil {
		sign, ok := p.accept("*", "×", "·", "⋅", "x", "/", "÷", ":", "%", "of")
		if !ok {
			return value, nil
		}
		var right *big.Rat
		if right, err = p.unary(); err != nil {
			break
		}
		if value, err = apply(sign, value, right); err == nil {
			err = bounded(value)
		}
	}
	return nil, err
}

func apply(sign string, left, right *big.Rat) (*big.Rat, error) {
	switch sign {
	case "/", "÷", ":", "%":
		if right.Sign() == 0 {
			return nil, mistake("Division by zero.")
		}
	default:
		return new(big.Rat).Mul(left, right), nil
	}
	quotient := new(big.Rat).Quo(left, right)
	if sign != "%" {
		return quotient, nil
	}
	// The remainder has the sign of the divisor, as in mathematics.
	floor := new(big.Int).Div(quotient.Num(), quotient.Denom())
	return new(big.Rat).Sub(left, new(big.Rat).Mul(right, new(big.Rat).SetInt(floor))), nil
}

func (p *parser) unary() (*big.Rat, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxNesting {
		return nil, mistake("The expression is nested deeper than %d levels.", maxNesting)
	}
	if sign, ok := p.accept("+", "-", "−"); ok {
		value, err := p.unary()
		if err != nil || sign == "+" {
			return value, err
		}
		return new(big.Rat).Neg(value), nil
	}
	return p.power()
}

func (p *parser) power() (*big.Rat, error) {
	base, err := p.percent()
	if err != nil {
		return nil, err
	}
	if p.at+1 < len(p.text) && strings.HasPrefix(strings.TrimLeft(p.text[p.at:], " "), "**") {
		p.accept("**")
	} else if _, ok := p.accept("^"); !ok {
		return base, nil
	}
	exponent, err := p.unary()
	if err != nil {
		return nil, err
	}
	return raise(base, exponent)
}

func raise(base, exponent *big.Rat) (*big.Rat, error) {
	if !exponent.IsInt() {
		return nil, mistake("Only whole exponents can be calculated exactly.")
	}
	if !exponent.Num().IsInt64() || exponent.Num().Int64() > maxExponent || exponent.Num().Int64() < -maxExponent {
		return nil, mistake("The exponent is larger than %d.", maxExponent)
	}
	n := exponent.Num().Int64()
	if n < 0 {
		if base.Sign() == 0 {
			return nil, mistake("Division by zero.")
		}
		base, n = new(big.Rat).Inv(base), -n
	}
	bits := int64(max(base.Num().BitLen(), base.Denom().BitLen()))
	// Powers of one and zero stay small with any exponent.
	if bits > 1 && (bits-1)*n > maxBits {
		return nil, tooLong()
	}
	power := big.NewInt(n)
	value := new(big.Rat).SetFrac(new(big.Int).Exp(base.Num(), power, nil), new(big.Int).Exp(base.Denom(), power, nil))
	return value, bounded(value)
}

// percent handles the percent sign after a number when it does not mean a remainder.
func (p *parser) percent() (*big.Rat, error) {
	value, err := p.primary()
	for err == nil {
		p.space()
		if !strings.HasPrefix(p.text[p.at:], "%") || p.operandFollows(p.at+1) {
			return value, nil
		}
		p.at++
		value = new(big.Rat).Quo(value, big.NewRat(100, 1))
		err = bounded(value)
	}
	return nil, err
}

func (p *parser) operandFollows(at int) bool {
	rest := strings.TrimLeft(p.text[at:], " ")
	return rest != "" && (rest[0] == '(' || rest[0] == '.' || isDigit(rest[0]))
}

func (p *parser) primary() (*big.Rat, error) {
	if _, ok := p.accept("("); !ok {
		return p.number()
	}
	value, err := p.expression()
	if err != nil {
		return nil, err
	}
	if _, ok := p.accept(")"); !ok {
		return nil, mistake("A parenthesis is not closed.")
	}
	return value, nil
}

func (p *parser) number() (*big.Rat, error) {
	p.space()
	start := p.at
	for p.at < len(p.text) && (isDigit(p.text[p.at]) || strings.ContainsRune(".,'_", rune(p.text[p.at]))) {
		p.at++
	}
	literal := p.text[start:p.at]
	if literal == "" {
		return nil, p.unexpected()
	}
	digits, ok := ungroup(literal)
	if !ok {
		return nil, mistake("%q is not a number; write 1234.5 or 1,234.5.", literal)
	}
	value, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, mistake("%q is not a number.", literal)
	}
	return value, bounded(value)
}

// ungroup removes thousands separators. They must be before groups of three digits: "1,5" is
// ambiguous, and not accepted.
func ungroup(literal string) (string, bool) {
	whole, fraction, point := strings.Cut(literal, ".")
	if strings.ContainsAny(fraction, ".,'_") || (whole == "" && fraction == "") {
		return "", false
	}
	for _, separator := range []string{",", "'", "_"} {
		if !strings.Contains(whole, separator) {
			continue
		}
		groups := strings.Split(whole, separator)
		if len(groups[0]) < 1 || len(groups[0]) > 3 {
			return "", false
		}
		for _, group := range groups[1:] {
			if len(group) != 3 {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	if strings.ContainsAny(whole, ",'_") {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	if point && fraction == "" {
		fraction = "0"
	}
	if !point {
		return whole, true
	}
	return whole + "." + fraction, true
}

func bounded(value *big.Rat) error {
	if value.Num().BitLen() > maxBits || value.Denom().BitLen() > maxBits {
		return tooLong()
	}
	return nil
}

func tooLong() error { return mistake("The numbers become too large to be calculated.") }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
