// Package parse turns an uploaded document into the text that is searched, quoted and
// cited.
//
// The offsets of citations count characters of this text, and a quotation should be what the
// user wrote. So plain text and Markdown are not changed, except that a byte order mark is
// removed and line ends become "\n". The splitter reads the structure of Markdown. HTML
// becomes the text that a reader of the page sees, block by block.
//
// A document that cannot be read is refused with a fault. Its detail is a sentence for
// users, as it becomes the document's failure. A retry would return the same fault, so a
// job must not retry.
package parse

import (
	"bytes"
	"context"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// The content types that can be read.
const (
	TypeText     = "text/plain"
	TypeMarkdown = "text/markdown"
	TypeHTML     = "text/html"
)

// Limits bounds the size of a document.
type Limits struct {
	// Bytes is the size of the document as uploaded.
	Bytes int
	// TextBytes is the size of its text.
	TextBytes int
}

// DefaultLimits returns the limits of uploads.
func DefaultLimits() Limits { return Limits{Bytes: 32 << 20, TextBytes: 8 << 20} }

// Document is a parsed document.
type Document struct {
	// Title is the document's own title, or empty.
	Title string
	// Text is valid UTF-8 with "\n" as line end. It is not blank.
	Text string
	// Markdown reports that the text has the structure of Markdown, for the splitter.
	Markdown bool
}

// Parse parses a document. It returns early when ctx ends.
func Parse(ctx context.Context, contentType string, raw []byte, limits Limits) (Document, error) {
	kind, err := mediaType(contentType)
	if err != nil {
		return Document{}, err
	}
	if len(raw) > limits.Bytes {
		return Document{}, tooLarge("The document", limits.Bytes)
	}
	text, err := decode(raw)
	if err != nil {
		return Document{}, err
	}
	doc := Document{Text: text}
	switch kind {
	case TypeHTML:
		doc, err = readHTML(ctx, strings.NewReader(text), limits)
	case TypeMarkdown:
		doc.Markdown = true
		doc.Title = markdownTitle(text)
	}
	if err != nil {
		return Document{}, err
	}
	return checked(ctx, doc, limits)
}

// checked refuses a document whose text is too long or blank.
func checked(ctx context.Context, doc Document, limits Limits) (Document, error) {
	if len(doc.Text) > limits.TextBytes {
		return Document{}, tooLarge("The text of the document", limits.TextBytes)
	}
	if strings.TrimSpace(doc.Text) == "" {
		return Document{}, fault.New(faultv1.Reason_REASON_DOCUMENT_EMPTY, "The document contains no text.")
	}
	return doc, ctxFault(ctx)
}

func ctxFault(ctx context.Context) error {
	if ctx.Err() != nil {
		return fault.From(ctx.Err())
	}
	return nil
}

// mediaType returns the media type in a content type, or a fault when it cannot be read.
func mediaType(contentType string) (string, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_UNSUPPORTED_TYPE, "%q is not a content type.", contentType)
	}
	if charset := strings.ToLower(parameters["charset"]); charset != "" && charset != "utf-8" && charset != "utf8" && charset != "us-ascii" {
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_ENCODING, "The document is declared to be in %s; only UTF-8 can be read. Save it as UTF-8 and upload it again.", charset)
	}
	switch kind {
	case TypeText, TypeMarkdown, TypeHTML:
		return kind, nil
	case "text/x-markdown":
		return TypeMarkdown, nil
	case "application/xhtml+xml":
		return TypeHTML, nil
	}
	return "", fault.New(faultv1.Reason_REASON_DOCUMENT_UNSUPPORTED_TYPE,
		"Documents of the type %s cannot be read; upload plain text, Markdown or HTML.", kind)
}

// binaryMagic reports whether a document starts like a well-known binary format, which users
// may upload under a wrong name.
func binaryMagic(raw []byte) bool {
	for _, magic := range []string{"%PDF-", "PK\x03\x04", "PK\x05\x06", "\x89PNG", "GIF8", "\xff\xd8\xff", "\x7fELF", "\x1f\x8b", "\xd0\xcf\x11\xe0", "MZ\x90", "Rar!", "7z\xbc\xaf", "SQLite format 3"} {
		if bytes.HasPrefix(raw, []byte(magic)) {
			return true
		}
	}
	return false
}

// decode checks that a document is text in UTF-8, and converts its line ends to "\n".
func decode(raw []byte) (string, error) {
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_EMPTY, "The document is empty.")
	case bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_ENCODING, "The document is in UTF-16; only UTF-8 can be read. Save it as UTF-8 and upload it again.")
	case binaryMagic(raw) || bytes.IndexByte(raw, 0) >= 0:
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_BINARY, "The document is not text: it contains binary data.")
	case !utf8.Valid(raw):
		return "", badEncoding(raw, 1)
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	text := strings.ReplaceAll(string(raw), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	if mostlyControl(text) {
		return "", fault.New(faultv1.Reason_REASON_DOCUMENT_BINARY, "The document is not text: most of it is control characters.")
	}
	return text, nil
}

// badEncoding returns a fault that names the line of the first byte that is not UTF-8. line
// is the number of the line in which the text starts.
func badEncoding(raw []byte, line int) error {
	rest := raw
	for len(rest) > 0 {
		r, width := utf8.DecodeRune(rest)
		if r == utf8.RuneError && width == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		rest = rest[width:]
	}
	return fault.New(faultv1.Reason_REASON_DOCUMENT_ENCODING, "The document is not valid UTF-8 (line %d). Save it as UTF-8 and upload it again.", line)
}

// mostlyControl reports whether a text is binary data that happens to be valid UTF-8.
func mostlyControl(text string) bool {
	const sample = 8 << 10
	control, total := 0, 0
	for _, r := range text[:min(len(text), sample)] {
		total++
		if r < ' ' && r != '\n' && r != '\t' && r != '\f' && r != '\v' && r != '\x1b' {
			control++
		}
	}
	return control*10 > total
}

func tooLarge(what string, limit int) error {
	return fault.New(faultv1.Reason_REASON_DOCUMENT_TOO_LARGE, "%s is larger than %d MiB. Split it, and upload the parts.", what, max(limit>>20, 1))
}
