package split

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a piece of text.
type kind int

const (
	sentence kind = iota
	heading
	// solid is code or a table. It is not divided when it fits into a chunk.
	solid
)

// piece is a part of a text that is added to a chunk as a whole. There are no gaps between
// pieces.
type piece struct {
	start, end int
	runes      int
	kind       kind
	// blank reports that the piece contains only space. No chunk starts with it.
	blank    bool
	headings []string
}

// block is a sequence of lines of one kind.
type block struct {
	start, end int
	kind       kind
	level      int
	title      string
}

// pieces divides a text into the smallest parts that Split uses. There can be millions of
// them, so they are not collected in a slice.
func pieces(text string, options Options) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		var path headingPath
		for _, b := range blocks(text, options.Markdown) {
			if b.kind == heading {
				path.enter(b.level, b.title)
			}
			titles := path.titles()
			for start, end := range cut(text, b, options) {
				part := text[start:end]
				if !yield(piece{
					start: start, end: end, runes: utf8.RuneCountInString(part), kind: b.kind,
					blank: strings.TrimSpace(part) == "", headings: titles,
				}) {
					return
				}
			}
		}
	}
}

// cut divides a block: prose into sentences, and a part that is longer than the limit
// further.
func cut(text string, b block, options Options) iter.Seq2[int, int] {
	var marks []int
	switch {
	case b.kind == sentence:
		marks = boundaries(text[b.start:b.end])
	case utf8.RuneCountInString(text[b.start:b.end]) > options.Max:
		marks = lineStarts(text[b.start:b.end])
	}
	return func(yield func(start, end int) bool) {
		from := b.start
		for _, mark := range append(marks, b.end-b.start) {
			to := b.start + mark
			if to == from {
				continue
			}
			for _, part := range cutLong(text, from, to, options) {
				if !yield(part[0], part[1]) {
					return
				}
			}
			from = to
		}
	}
}

// cutLong divides a part that is longer than the limit: at spaces, or between characters
// when there is no space.
func cutLong(text string, start, end int, options Options) [][2]int {
	var parts [][2]int
	left := utf8.RuneCountInString(text[start:end])
	for left > options.Max {
		runes, lastSpace, at := 0, -1, end
		for i, r := range text[start:end] {
			if runes == options.Target {
				at = start + i
				break
			}
			runes++
			if unicode.IsSpace(r) {
				lastSpace = start + i + utf8.RuneLen(r)
			}
		}
		if lastSpace > start+(at-start)/2 {
			at = lastSpace
		}
		parts = append(parts, [2]int{start, at})
		left -= utf8.RuneCountInString(text[start:at])
		start = at
	}
	return append(parts, [2]int{start, end})
}

func lineStarts(text string) []int {
	var marks []int
	for i := range len(text) {
		if text[i] == '\n' && i+1 < len(text) {
			marks = append(marks, i+1)
		}
	}
	return marks
}

// maxHeading is how many code points of a heading are repeated with each chunk below it.
const maxHeading = 200

// headingPath is the stack of headings above the current line.
type headingPath struct {
	levels []int
	names  []string
}

func (h *headingPath) enter(level int, title string) {
	for len(h.levels) > 0 && h.levels[len(h.levels)-1] >= level {
		h.levels, h.names = h.levels[:len(h.levels)-1], h.names[:len(h.names)-1]
	}
	runes := 0
	for i := range title {
		if runes == maxHeading {
			title = title[:i] + "…"
			break
		}
		runes++
	}
	h.levels, h.names = append(h.levels, level), append(h.names, title)
}

func (h *headingPath) titles() []string { return append([]string(nil), h.names...) }

// blocks divides a text into paragraphs and, in Markdown, headings, code and tables.
// Blank lines belong to the block before them.
func blocks(text string, markdown bool) []block {
	s := scanner{markdown: markdown}
	for start := 0; start < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		s.line(text, start, end)
		start = end
	}
	return s.blocks
}

// scanner reads lines into blocks.
type scanner struct {
	markdown bool
	blocks   []block
	// fence is the marker that ends the open code block.
	fence string
	// blank reports that the last line was blank, so that the next line starts a block.
	blank bool
}

func (s *scanner) line(text string, start, end int) {
	line := strings.TrimSpace(text[start:end])
	switch {
	case s.fence != "":
		s.extend(end)
		if strings.HasPrefix(line, s.fence) && strings.Trim(line, s.fence[:1]) == "" {
			s.fence, s.blank = "", true
		}
		return
	case line == "":
		if len(s.blocks) == 0 {
			s.begin(block{start: start, end: end})
		}
		s.extend(end)
		s.blank = true
		return
	case s.markdown && s.markup(line, start, end):
		return
	case s.blank || len(s.blocks) == 0 || s.last().kind != sentence:
		s.begin(block{start: start, end: end})
	default:
		s.extend(end)
	}
	s.blank = false
}

// markup handles a line with a meaning in Markdown, and reports whether the line has one.
func (s *scanner) markup(line string, start, end int) bool {
	if fence := fenceOf(line); fence != "" {
		s.begin(block{start: start, end: end, kind: solid})
		s.fence = fence
		return true
	}
	if level, title := headingOf(line); level > 0 {
		s.begin(block{start: start, end: end, kind: heading, level: level, title: title})
		s.blank = true
		return true
	}
	if strings.HasPrefix(line, "|") {
		if !s.blank && len(s.blocks) > 0 && s.last().kind == solid {
			s.extend(end)
		} else {
			s.begin(block{start: start, end: end, kind: solid})
		}
		s.blank = false
		return true
	}
	return false
}

func (s *scanner) begin(b block) { s.blocks = append(s.blocks, b) }

func (s *scanner) extend(end int) { s.last().end = end }

func (s *scanner) last() *block { return &s.blocks[len(s.blocks)-1] }

// fenceOf returns the marker of a line that opens a code block.
func fenceOf(line string) string {
	for _, mark := range []string{"`", "~"} {
		n := len(line) - len(strings.TrimLeft(line, mark))
		if n >= 3 {
			return strings.Repeat(mark, n)
		}
	}
	return ""
}

// headingOf returns the level and the title of an ATX heading. The level is 0 when the line
// is not a heading.
func headingOf(line string) (int, string) {
	title := strings.TrimLeft(line, "#")
	level := len(line) - len(title)
	if level == 0 || level > 6 || (title != "" && title[0] != ' ' && title[0] != '\t') {
		return 0, ""
	}
	return level, strings.TrimSpace(strings.TrimRight(strings.TrimSpace(title), "#"))
}
