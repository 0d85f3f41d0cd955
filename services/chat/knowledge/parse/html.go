package parse

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// maxToken bounds one tag or text of HTML.
	maxToken = 8 << 20
	// checkEvery is how many tokens are read between two checks of the context.
	checkEvery = 1024
)

// readHTML returns the text that a reader of a page sees. It reads tokens and builds no
// tree, so deep nesting costs no memory.
func readHTML(ctx context.Context, source io.Reader, limits Limits) (Document, error) {
	tokens := html.NewTokenizer(source)
	tokens.SetMaxBuf(maxToken)
	page := &page{}
	for n := 0; ; n++ {
		if n%checkEvery == 0 {
			if err := ctxFault(ctx); err != nil {
				return Document{}, err
			}
		}
		kind := tokens.Next()
		if kind == html.ErrorToken {
			break
		}
		page.token(kind, tokens)
		if page.text.Len() > limits.TextBytes {
			return Document{}, tooLarge("The text of the document", limits.TextBytes)
		}
	}
	if err := tokens.Err(); !errors.Is(err, io.EOF) {
		return Document{}, fault.Wrap(err, faultv1.Reason_REASON_DOCUMENT_MALFORMED, "The document is not valid HTML.")
	}
	return Document{Title: page.pageTitle(), Text: strings.TrimSpace(page.text.String())}, nil
}

// page collects the text of a page. Space collapses as in a browser, except in preformatted
// text.
type page struct {
	text strings.Builder
	// hidden is the element whose content is left out. depth is how many elements of this
	// kind are open.
	hidden atom.Atom
	depth  int
	// pre counts open preformatted elements.
	pre int
	// space and breaks must be written before the next word.
	space  bool
	breaks int
	// item reports that the mark of a list item was written last. The first block element
	// of the item must not separate the mark from the text.
	item bool

	title   strings.Builder
	heading strings.Builder
	inTitle bool
	// inHeading is true within the first h1.
	inHeading bool
	seenH1    bool
}

func (p *page) token(kind html.TokenType, tokens *html.Tokenizer) {
	switch kind {
	case html.TextToken:
		p.words(string(tokens.Text()))
	case html.StartTagToken, html.SelfClosingTagToken:
		name, _ := tokens.TagName()
		p.start(atom.Lookup(name), kind == html.SelfClosingTagToken)
	case html.EndTagToken:
		name, _ := tokens.TagName()
		p.end(atom.Lookup(name))
	default: // comments and doctypes are not text
	}
}

func (p *page) start(tag atom.Atom, selfClosing bool) {
	if p.hidden != 0 {
		if tag == p.hidden && !selfClosing {
			p.depth++
		}
		return
	}
	switch tag {
	case atom.Title:
		p.inTitle = true
	case atom.H1:
		p.inHeading, p.seenH1 = !p.seenH1, true
	case atom.Br:
		p.lineBreaks(1)
	case atom.Pre, atom.Textarea:
		p.pre++
	case atom.Td, atom.Th:
		p.space = true
	}
	if isHidden(tag) && !selfClosing {
		p.hidden, p.depth = tag, 1
		return
	}
	p.lineBreaks(breaksAround(tag))
	if tag == atom.Li {
		p.write("- ")
		p.item = true
	}
}

func (p *page) end(tag atom.Atom) {
	if p.hidden != 0 {
		if tag == p.hidden {
			p.depth--
			if p.depth == 0 {
				p.hidden = 0
			}
		}
		return
	}
	switch tag {
	case atom.Title:
		p.inTitle = false
	case atom.H1:
		p.inHeading = false
	case atom.Pre, atom.Textarea:
		p.pre = max(p.pre-1, 0)
	}
	p.lineBreaks(breaksAround(tag))
}

// words adds text. It leaves out NUL and other control characters, which entities can
// contain.
func (p *page) words(text string) {
	if p.hidden != 0 {
		return
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if p.inTitle {
		p.title.WriteString(text)
		return
	}
	if p.inHeading {
		p.heading.WriteString(text)
	}
	if p.pre > 0 {
		p.write(text)
		return
	}
	for text != "" {
		rest := strings.TrimLeftFunc(text, isHTMLSpace)
		p.space = p.space || len(rest) < len(text)
		if rest == "" {
			return
		}
		end := strings.IndexFunc(rest, isHTMLSpace)
		if end < 0 {
			end = len(rest)
		}
		p.write(rest[:end])
		text = rest[end:]
	}
}

// isHTMLSpace reports whether browsers collapse a character. A no-break space stays.
func isHTMLSpace(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f'
}

// lineBreaks requests at least n line breaks before the next word.
func (p *page) lineBreaks(n int) {
	if !p.item {
		p.breaks = max(p.breaks, n)
	}
}

// write adds text after the space or the line breaks that are due.
func (p *page) write(text string) {
	if text == "" {
		return
	}
	if p.text.Len() > 0 {
		switch {
		case p.breaks > 0:
			p.text.WriteString(strings.Repeat("\n", p.breaks))
		case p.space && !p.item:
			p.text.WriteByte(' ')
		}
	}
	p.breaks, p.space, p.item = 0, false, false
	p.text.WriteString(text)
}

func (p *page) pageTitle() string {
	if title := shorten(p.title.String()); title != "" {
		return title
	}
	return shorten(p.heading.String())
}

// isHidden reports whether the content of an element is not part of the text.
func isHidden(tag atom.Atom) bool {
	switch tag {
	case atom.Script, atom.Style, atom.Nav, atom.Template, atom.Noscript, atom.Iframe, atom.Object, atom.Svg, atom.Math, atom.Select,
		atom.Datalist, atom.Audio, atom.Video, atom.Canvas, atom.Noframes, atom.Noembed:
		return true
	}
	return false
}

// breaksAround returns how many line breaks are before and after an element: two around a
// paragraph, one around a line.
func breaksAround(tag atom.Atom) int {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Dl, atom.Table, atom.Pre, atom.Blockquote,
		atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Aside, atom.Figure, atom.Hr, atom.Form, atom.Fieldset, atom.Details,
		atom.Body, atom.Head, atom.Html:
		return 2
	case atom.Div, atom.Li, atom.Tr, atom.Dt, atom.Dd, atom.Figcaption, atom.Caption, atom.Summary, atom.Address, atom.Option, atom.Legend,
		atom.Thead, atom.Tbody, atom.Tfoot, atom.Label, atom.Textarea:
		return 1
	}
	return 0
}
