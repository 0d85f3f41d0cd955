// Package split cuts a document's text into chunks that can be retrieved, and text
// into sentences that can be quoted.
//
// Everything has offsets, counted in Unicode code points of the text that was given,
// start inclusive, end exclusive: a citation that carries them can be checked against
// the document by anyone, in any language. For each chunk and each sentence
//
//	string([]rune(text)[c.StartOffset:c.EndOffset]) == c.Text
//
// [Split] follows the document's own structure: a heading begins a new chunk, sentences
// are never torn unless one alone is over the limit, and code blocks and tables stay
// whole where they fit. Within a section, the end of a chunk is repeated at the start
// of the next, so that an answer that lies across the cut is found in one of them.
// All characters other than space between chunks are in some chunk.
package split

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Options says how large chunks are, in code points. The zero value is the default.
type Options struct {
	// Target is the size that chunks grow to; 900 when zero.
	Target int
	// Overlap is how much of a chunk may be repeated in the next; 120 when zero,
	// none when negative.
	Overlap int
	// Max is what no chunk exceeds; 2000 when zero.
	Max int
	// Markdown reads headings, code fences and tables.
	Markdown bool
}

// Chunk is a part of a text.
type Chunk struct {
	Text        string
	StartOffset int
	EndOffset   int
	// Headings is the path of headings above the chunk, outermost first.
	Headings []string
}

func (o Options) withDefaults() Options {
	if o.Target <= 0 {
		o.Target = 900
	}
	if o.Overlap == 0 {
		o.Overlap = 120
	}
	if o.Max <= 0 {
		o.Max = max(2000, o.Target)
	}
	o.Target = min(o.Target, o.Max)
	o.Overlap = min(o.Overlap, o.Target/2)
	return o
}

// Split cuts a text into chunks. Text must be valid UTF-8; text of nothing but space
// has no chunks.
func Split(text string, options Options) []Chunk {
	options = options.withDefaults()
	p := &packer{text: text, options: options}
	for piece := range pieces(text, options) {
		p.add(piece)
	}
	p.flush()
	return locate(text, p.spans)
}

// span is a chunk in bytes.
type span struct {
	start, end int
	headings   []string
}

// packer fills chunks with pieces, in order.
type packer struct {
	text    string
	options Options
	current []piece
	runes   int
	// fresh is how many pieces of current are not repeated from the chunk before.
	fresh int
	spans []span
}

func (p *packer) add(next piece) {
	if p.fresh > 0 && p.mustBreak(next) {
		repeat := p.repeatable(next)
		p.flush()
		p.current = repeat
		p.runes = total(repeat)
	}
	if p.runes+next.runes > p.options.Max {
		// What was repeated has no room beside a large piece.
		p.current, p.runes = nil, 0
	}
	if len(p.current) == 0 && next.blank {
		return
	}
	p.current = append(p.current, next)
	p.runes += next.runes
	p.fresh++
}

// mustBreak says whether a piece begins a new chunk.
func (p *packer) mustBreak(next piece) bool {
	if p.runes+next.runes > p.options.Max {
		return true
	}
	// Headings belong to what follows them, whatever its size.
	onlyHeadings := p.current[len(p.current)-1].kind == heading && p.allHeadings()
	if onlyHeadings {
		return false
	}
	return next.kind == heading || p.runes+next.runes > p.options.Target
}

func (p *packer) allHeadings() bool {
	for _, piece := range p.current {
		if piece.kind != heading {
			return false
		}
	}
	return true
}

// repeatable is the end of the current chunk that the next one begins with: whole
// sentences, of the same section, and never the entire chunk.
func (p *packer) repeatable(next piece) []piece {
	if next.kind == heading {
		return nil
	}
	from, runes := len(p.current), 0
	for from > 1 {
		piece := p.current[from-1]
		if piece.kind != sentence || runes+piece.runes > p.options.Overlap {
			break
		}
		runes += piece.runes
		from--
	}
	for from < len(p.current) && p.current[from].blank {
		from++
	}
	return append([]piece(nil), p.current[from:]...)
}

func (p *packer) flush() {
	if p.fresh > 0 {
		first, last := p.current[0], p.current[len(p.current)-1]
		start, end := trim(p.text, first.start, last.end)
		if start < end {
			p.spans = append(p.spans, span{start: start, end: end, headings: last.headings})
		}
	}
	p.current, p.runes, p.fresh = nil, 0, 0
}

func total(pieces []piece) int {
	runes := 0
	for _, piece := range pieces {
		runes += piece.runes
	}
	return runes
}

// trim moves both ends of a span inward over space.
func trim(text string, start, end int) (int, int) {
	part := text[start:end]
	start += len(part) - len(strings.TrimLeftFunc(part, unicode.IsSpace))
	if start >= end {
		return end, end
	}
	return start, start + len(strings.TrimRightFunc(text[start:end], unicode.IsSpace))
}

// locate turns bytes into code points. Starts and ends of spans each only grow, so
// the text is walked once for each.
func locate(text string, spans []span) []Chunk {
	chunks := make([]Chunk, 0, len(spans))
	starts, ends := cursor{text: text}, cursor{text: text}
	for _, s := range spans {
		chunks = append(chunks, Chunk{
			Text: text[s.start:s.end], StartOffset: starts.at(s.start), EndOffset: ends.at(s.end), Headings: s.headings,
		})
	}
	return chunks
}

// cursor counts code points up to growing byte positions.
type cursor struct {
	text  string
	bytes int
	runes int
}

func (c *cursor) at(position int) int {
	c.runes += utf8.RuneCountInString(c.text[c.bytes:position])
	c.bytes = position
	return c.runes
}
