package parse

import (
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

const (
	// titleSource is how many bytes of a document are searched for its title.
	titleSource = 4 << 10
	maxTitle    = 200
)

// markdownTitle returns the title in the front matter of a document, or else the text of the
// first heading of the highest level near its start.
func markdownTitle(source string) string {
	if title := frontMatterTitle(source); title != "" {
		return title
	}
	head := []byte(source[:min(len(source), titleSource)])
	document := goldmark.DefaultParser().Parse(text.NewReader(head))
	title, level := "", 7
	for node := document.FirstChild(); node != nil; node = node.NextSibling() {
		if heading, ok := node.(*ast.Heading); ok && heading.Level < level {
			if found := inlineText(heading, head); found != "" {
				title, level = found, heading.Level
			}
		}
	}
	return shorten(title)
}

// inlineText returns the text of a heading without its markup.
func inlineText(node ast.Node, source []byte) string {
	var b strings.Builder
	// Walk returns only errors of the callback, which never fails.
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch leaf := n.(type) {
		case *ast.Text:
			b.Write(leaf.Segment.Value(source))
			if leaf.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(leaf.Value)
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// frontMatterTitle returns the value of the line "title: …" in a block between "---" lines.
func frontMatterTitle(source string) string {
	rest, ok := strings.CutPrefix(source, "---\n")
	if !ok {
		return ""
	}
	matter, _, ok := strings.Cut(rest[:min(len(rest), titleSource)], "\n---")
	if !ok {
		return ""
	}
	for line := range strings.Lines(matter) {
		if title, ok := strings.CutPrefix(line, "title:"); ok {
			return shorten(strings.Trim(strings.TrimSpace(title), `"'`))
		}
	}
	return ""
}

// shorten returns a title as one line of limited length.
func shorten(title string) string {
	title = strings.Join(strings.Fields(title), " ")
	if runes := []rune(title); len(runes) > maxTitle {
		return strings.TrimSpace(string(runes[:maxTitle])) + "…"
	}
	return title
}
