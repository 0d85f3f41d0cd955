package split

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentence is a sentence of a text, without the space around it and without the marker of a
// list item, quotation or heading before it.
type Sentence struct {
	Text        string
	StartOffset int
	EndOffset   int
	// Heading reports that the line is a Markdown heading, which makes no statement.
	Heading bool
}

// Sentences returns the sentences of a text. A list item, a heading and a table row are
// sentences too, and a blank line ends a sentence. It knows European, Chinese and Japanese
// punctuation. In doubt it leaves two sentences together.
func Sentences(text string) []Sentence {
	var out []Sentence
	starts, ends := cursor{text: text}, cursor{text: text}
	from := 0
	for _, mark := range append(boundaries(text), len(text)) {
		start, end := trim(text, from, mark)
		from = mark
		level, _ := headingOf(strings.TrimSpace(text[start:end]))
		start = skipMarkers(text, start, end)
		if start == end {
			continue
		}
		out = append(out, Sentence{Text: text[start:end], StartOffset: starts.at(start), EndOffset: ends.at(end), Heading: level > 0})
	}
	return out
}

// boundaries returns the positions, in bytes, at which a new sentence begins.
func boundaries(text string) []int {
	var marks []int
	mark := func(at int) {
		if at > 0 && at < len(text) && (len(marks) == 0 || marks[len(marks)-1] < at) {
			marks = append(marks, at)
		}
	}
	// run is the end of the punctuation that was examined. All of it ends the same
	// sentence. To examine it again from each mark would take quadratic time.
	run := 0
	for i, r := range text {
		if i < run {
			continue
		}
		switch r {
		case '\n':
			if lineBreaks(text, i) {
				mark(i + 1)
			}
		case '。', '！', '？':
			run = skipClosers(text, i+utf8.RuneLen(r))
			mark(run)
		case '.', '!', '?', '…':
			run = skipClosers(text, i+utf8.RuneLen(r))
			if next, ok := sentenceEnd(text, i, run); ok {
				mark(next)
			}
		}
	}
	return marks
}

// lineBreaks reports whether the newline at i ends a sentence. It does before a blank line,
// a list item, a table row or a heading, and after a table row or a heading.
func lineBreaks(text string, i int) bool {
	line := strings.TrimSpace(text[strings.LastIndexByte(text[:i], '\n')+1 : i])
	if line == "" {
		return true
	}
	next := text[i+1:]
	if end := strings.IndexByte(next, '\n'); end >= 0 {
		next = next[:end]
	}
	next = strings.TrimSpace(next)
	if next == "" {
		// The last of several blank lines is the boundary.
		return false
	}
	if next[0] == '|' || fenceOf(next) != "" || skipMarkers(next, 0, len(next)) > 0 {
		return true
	}
	level, _ := headingOf(line)
	return level > 0 || strings.HasPrefix(line, "|") || fenceOf(line) != ""
}

// sentenceEnd reports whether the punctuation from i to run ends a sentence, and where the
// next one starts.
func sentenceEnd(text string, i, run int) (int, bool) {
	rest := text[run:]
	next := run + len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
	if next == run || next == len(text) {
		return 0, false
	}
	if after, _ := utf8.DecodeRuneInString(text[next:]); unicode.IsLower(after) {
		return 0, false
	}
	if text[i:run] == "." && (isAbbreviation(text[:i]) || isGermanDate(text[:i], text[next:])) {
		return 0, false
	}
	return next, true
}

// isGermanDate reports whether a full stop is between a day and its month: "31. März".
func isGermanDate(before, after string) bool {
	if before == "" || before[len(before)-1] < '0' || before[len(before)-1] > '9' {
		return false
	}
	for _, month := range []string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"} {
		if strings.HasPrefix(after, month) {
			return true
		}
	}
	return false
}

// skipClosers returns the position after further punctuation, quotes and brackets that close
// a sentence.
func skipClosers(text string, i int) int {
	for i < len(text) {
		r, width := utf8.DecodeRuneInString(text[i:])
		if !strings.ContainsRune(".!?…\"'”’»)]*_`", r) {
			break
		}
		i += width
	}
	return i
}

// isAbbreviation reports whether the word before a full stop usually does not end a sentence:
// an abbreviation, an initial, or the number of a list item.
func isAbbreviation(before string) bool {
	start := strings.LastIndexFunc(before, unicode.IsSpace) + 1
	word := strings.ToLower(strings.TrimLeft(before[start:], "(\"'“„«["))
	if word == "" {
		return false
	}
	if utf8.RuneCountInString(word) == 1 {
		r, _ := utf8.DecodeRuneInString(word)
		return unicode.IsLetter(r)
	}
	if strings.Trim(word, "0123456789") == "" {
		// This holds only at the start of a line. Elsewhere a number may end a sentence.
		lead := strings.TrimRight(before[:start], " \t")
		return len(word) <= 3 && (lead == "" || strings.HasSuffix(lead, "\n"))
	}
	switch word {
	case "e.g", "i.e", "cf", "etc", "vs", "mr", "mrs", "ms", "dr", "prof", "st", "no", "fig", "approx", "inc", "ltd", "co", "jr", "sr",
		"z.b", "d.h", "u.a", "bzw", "ca", "nr", "usw", "ggf", "inkl", "zzgl", "evtl", "abs", "art", "vgl", "p.ex", "env", "sec", "ch", "vol", "pp":
		return true
	}
	return false
}

// skipMarkers returns the position after the marks that start a heading, a quotation or a
// list item.
func skipMarkers(text string, start, end int) int {
	for start < end {
		width := markerWidth(text[start:end])
		if width == 0 {
			return start
		}
		start += width
		start += len(text[start:end]) - len(strings.TrimLeft(text[start:end], " \t"))
	}
	return start
}

func markerWidth(text string) int {
	hashes := 0
	for hashes < min(len(text), 7) && text[hashes] == '#' {
		hashes++
	}
	if hashes > 0 && hashes < 7 && (hashes == len(text) || strings.ContainsRune(" \t\r\n", rune(text[hashes]))) {
		return hashes
	}
	if len(text) > 1 && strings.ContainsRune("-*+>", rune(text[0])) && (text[1] == ' ' || text[1] == '\t') {
		return 1
	}
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits > 0 && digits <= 3 && digits+1 < len(text) && (text[digits] == '.' || text[digits] == ')') && text[digits+1] == ' ' {
		return digits + 1
	}
	return 0
}
