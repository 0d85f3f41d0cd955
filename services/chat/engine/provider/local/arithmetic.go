package local

import (
	"strings"
	"unicode"

	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// arithmetic returns the expression of a question such as "What is 17 * 23?". It reports
// false when there is nothing to calculate, as for a number or a date.
func arithmetic(question string) (string, bool) {
	text := strings.ToLower(strings.TrimSpace(question))
	text = strings.TrimRight(text, "?!. =")
	for _, lead := range []string{"please ", "bitte ", "calculate ", "compute ", "evaluate ", "what is ", "what's ", "how much is ", "was ist ", "wie viel ist ", "wieviel ist ", "berechne ", "rechne "} {
		text = strings.TrimPrefix(text, lead)
	}
	words := strings.NewReplacer(" multiplied by ", " * ", " divided by ", " / ", " times ", " * ", " plus ", " + ", " minus ", " - ", " mal ", " * ",
		" geteilt durch ", " / ", " percent of ", "% of ", " prozent von ", "% of ", "% von ", "% of ", " to the power of ", " ^ ", " hoch ", " ^ ")
	text = words.Replace(text)
	if !looksArithmetic(text) {
		return "", false
	}
	if _, err := tool.Calculate(text); err != nil && !strings.Contains(err.Error(), "zero") {
		return "", false
	}
	return text, true
}

// looksArithmetic reports whether a text consists of digits and operators, with at least one
// operator. Numbers with dashes are a range or a date, unless there are spaces around a dash.
func looksArithmetic(text string) bool {
	digits, operators := 0, 0
	for _, r := range strings.ReplaceAll(text, "% of ", "%*") {
		switch {
		case unicode.IsDigit(r):
			digits++
		case strings.ContainsRune("+*/^%×÷−", r):
			operators++
		case r == '-' && strings.Contains(text, " - "):
			operators++
		case !strings.ContainsRune(" .,'_()-x", r):
			return false
		}
	}
	if operators == 0 && strings.Contains(text, " x ") {
		operators++
	}
	return digits >= 2 && operators > 0
}
