package tool

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"
)

// CalculatorName is the name of the calculator.
const CalculatorName = "calculator"

// Calculator returns the tool for exact arithmetic.
func Calculator() Tool { return calculator{} }

type calculator struct{}

func (calculator) Name() string { return CalculatorName }

func (calculator) Description() string {
	return "Calculates an arithmetic expression exactly: + - * / ^ % and parentheses, for example (1.5 + 2) * 10^3. Call it instead of calculating yourself."
}

func (calculator) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{"expression":{"type":"string","description":"The expression, with . as decimal point."}},"required":["expression"],"additionalProperties":false}`)
}

func (calculator) Risk() Risk { return RiskNone }

func (calculator) Call(_ context.Context, _ Caller, arguments json.RawMessage) (Result, error) {
	var input struct {
		Expression string `json:"expression"`
	}
	if err := json.Unmarshal(arguments, &input); err != nil {
		return Result{}, mistake("The arguments must be a JSON object with the text %q.", "expression")
	}
	calculation, err := Calculate(input.Expression)
	if err != nil {
		return Result{}, err
	}
	data, err := json.Marshal(calculation)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: data}, nil
}

// Calculation is the result of an expression.
type Calculation struct {
	Expression string `json:"expression"`
	// Value is a decimal number.
	Value string `json:"value"`
	// Exact is false when the value had to be rounded.
	Exact bool `json:"exact"`
}

const (
	maxExpression = 500
	maxNesting    = 100
	maxExponent   = 10_000
	// maxBits bounds every number of the calculation: about 1,200 digits.
	maxBits = 4096
	// maxDecimals is how many decimals an exact value may have before it is rounded.
	maxDecimals = 30
	// roundedDigits is how many significant digits a rounded value has.
	roundedDigits = 15
)

// Calculate evaluates an expression over the rational numbers. Its errors are *Mistake.
func Calculate(expression string) (Calculation, error) {
	expression = strings.Join(strings.Fields(expression), " ")
	switch {
	case expression == "":
		return Calculation{}, mistake("The expression is empty.")
	case len(expression) > maxExpression:
		return Calculation{}, mistake("The expression is longer than %d characters.", maxExpression)
	}
	p := &parser{text: strings.TrimSpace(strings.TrimSuffix(expression, "="))}
	value, err := p.expression()
	if err != nil {
		return Calculation{}, err
	}
	if p.space(); p.at < len(p.text) {
		return Calculation{}, p.unexpected()
	}
	text, exact := format(value)
	return Calculation{Expression: expression, Value: text, Exact: exact}, nil
}

// format returns a number in decimal. It is exact when the number has few decimals, and
// rounded otherwise.
func format(value *big.Rat) (string, bool) {
	if value.IsInt() {
		return value.Num().String(), true
	}
	if decimals, finite := value.FloatPrec(); finite && decimals <= maxDecimals {
		return value.FloatString(decimals), true
	}
	// The magnitude is the number of digits before the point, or minus the number of zeros
	// after it.
	magnitude := len(new(big.Int).Quo(value.Num(), value.Denom()).String())
	if new(big.Rat).Abs(value).Cmp(big.NewRat(1, 1)) < 0 {
		inverse := new(big.Rat).Inv(value)
		magnitude = 1 - len(new(big.Int).Abs(new(big.Int).Quo(inverse.Num(), inverse.Denom())).String())
	}
	text := value.FloatString(max(roundedDigits-magnitude, 1))
	return strings.TrimSuffix(strings.TrimRight(text, "0"), "."), false
}
