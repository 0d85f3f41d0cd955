package gateway

import (
	"cmp"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxNesting is how deep the objects and arrays of a text of JSON may nest.
	maxNesting = 64
	// maxValues is how many values a text of JSON may hold. A value costs up to a
	// thousand times as much to decode as a byte of text, and no contract needs
	// more.
	maxValues = 10_000
	// maxPublicValues is the same for methods that anybody may call.
	maxPublicValues = 1_000
	// maxNamed bounds how much of a field's name is repeated, in bytes.
	maxNamed = 100
)

// mostValues is how many values the method's message may hold as JSON.
func (m *method) mostValues() int {
	if m.public {
		return maxPublicValues
	}
	return maxValues
}

// checkShape refuses a text of JSON that nests too deep or holds too many values.
// It reads the text once and allocates nothing. It leaves it to the decoder to
// refuse text that is not JSON.
func checkShape(text []byte, most int) *fault.Fault {
	var name []byte // of the field of the outermost object
	depth, values := 0, 1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			start := i + 1
			i = endOfString(text, start)
			if depth == 1 && isName(text, i+1) {
				name = text[start:i]
			}
		case '{', '[':
			depth++
			values++
		case ',':
			values++
		case '}', ']':
			depth--
		}
		if depth > maxNesting {
			return fault.Invalid(nameOf(name), "nests deeper than %d levels", maxNesting)
		}
		if values > most {
			return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the body holds more than %d values", most)
		}
	}
	return nil
}

// nameOf shortens a field's name, which the client chose, so that a response
// may repeat it.
func nameOf(name []byte) string {
	return cmp.Or(strings.ToValidUTF8(string(name[:min(len(name), maxNamed)]), ""), "body")
}

// endOfString returns the position of the quote that ends the string beginning
// at i.
func endOfString(text []byte, i int) int {
	for ; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return min(i, len(text))
}

// isName reports whether the string that ends before i is the name of a field.
func isName(text []byte, i int) bool {
	for ; i < len(text); i++ {
		if c := text[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c == ':'
		}
	}
	return false
}
