// Package line converts untrusted text to one line.
//
// The contracts refuse names of more than one line
// (gatehouse.options.v1.single_line). Some names are not checked by a contract: an
// identity provider sends them, or they were stored before the rule existed. Code that
// shows or sends such a name must use [Clean].
package line

import (
	"strings"
	"unicode"
)

// The separators of lines and paragraphs are not control characters, so they
// are listed here.
const lineSeparator, paragraphSeparator = '\u2028', '\u2029'

// breaks reports whether a character is not allowed in one line of text.
func breaks(r rune) bool {
	return unicode.IsControl(r) || r == lineSeparator || r == paragraphSeparator
}

// Clean returns s as one line: each run of control characters, line breaks and
// separators becomes one space, and none is left at the ends.
func Clean(s string) string {
	if !strings.ContainsFunc(s, breaks) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, breaks), " ")
}
