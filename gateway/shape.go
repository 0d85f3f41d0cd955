package gateway

import (
	"cmp"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxNesting is how deep the objects and arrays of a JSON text may nest.
	maxNesting = 64
	// maxValues is how many values a JSON text may have. Decoding a value costs up to a
	// thousand times as much as decoding a byte of text, and no contract needs more
	// values.
	maxValues = 10_000
	// maxPublicValues is the same for methods that need no credential.
	maxPublicValues = 1_000
	// maxNamed bounds how much of the name of a field an error repeats, in bytes.
	maxNamed = 100
)

// mostValues returns how many values the message of the method may have as JSON.
func (m *method) mostValues() int {
	if m.public {
		return maxPublicValues
	}
	return maxValues
}

// checkShape refuses a JSON text that nests too deep or has too many values. It reads the
// text once and allocates nothing. The decoder refuses text that is not JSON.
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
			return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the body has more than %d values", most)
		}
	}
	return nil
}

// nameOf shortens the name of a field, which the client chose, so that an error can repeat
// it.
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
