package parse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// window is how much of a document is examined at once, in bytes.
const window = 1 << 20

// IsText reports whether the bytes of a document of a content type are its
// text, so that [Limits].TextBytes bounds the document itself.
func IsText(contentType string) bool {
	kind, err := mediaType(contentType)
	return err == nil && kind != TypeHTML
}

// From parses a document of a size that it reads from r. It keeps the text of the document
// in memory. It keeps the document itself in memory only when the document is not larger
// than the limit of texts.
func From(ctx context.Context, contentType string, r io.ReaderAt, size int, limits Limits) (Document, error) {
	kind, err := mediaType(contentType)
	switch {
	case err != nil:
		return Document{}, err
	case size > limits.Bytes:
		return Document{}, tooLarge("The document", limits.Bytes)
	case size > limits.TextBytes && kind != TypeHTML:
		return Document{}, tooLarge("The text of the document", limits.TextBytes)
	case size > limits.TextBytes:
		return readLarge(ctx, r, size, limits)
	}
	raw := make([]byte, size)
	if _, err := r.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return Document{}, fmt.Errorf("parse: %w", err)
	}
	return Parse(ctx, contentType, raw, limits)
}

// readLarge parses HTML that is larger than the limit of texts.
func readLarge(ctx context.Context, r io.ReaderAt, size int, limits Limits) (Document, error) {
	if err := checkBytes(ctx, io.NewSectionReader(r, 0, int64(size))); err != nil {
		return Document{}, err
	}
	page := bufio.NewReaderSize(io.NewSectionReader(r, 0, int64(size)), window)
	if mark, err := page.Peek(len(byteOrderMark)); err == nil && string(mark) == byteOrderMark {
		if _, err := page.Discard(len(mark)); err != nil {
			return Document{}, fmt.Errorf("parse: %w", err)
		}
	}
	// The tokenizer converts the line ends.
	doc, err := readHTML(ctx, page, limits)
	if err != nil {
		return Document{}, err
	}
	return checked(ctx, doc, limits)
}

const byteOrderMark = "\xef\xbb\xbf"

// checkBytes refuses the documents that decode refuses. It reads them window by window.
func checkBytes(ctx context.Context, r io.Reader) error {
	buffer, kept, line := make([]byte, window+utf8.UTFMax), 0, 1
	for first := true; ; first = false {
		if err := ctxFault(ctx); err != nil {
			return err
		}
		n, last, err := fill(r, buffer[kept:kept+window])
		if err != nil {
			return err
		}
		text := buffer[:kept+n]
		if first {
			if _, err := decode(whole(text[:min(len(text), mostlySample)])); err != nil && !fault.Is(err, faultv1.Reason_REASON_DOCUMENT_EMPTY) {
				return err
			}
		}
		rest := text
		if !last {
			rest = whole(text)
		}
		if bytes.IndexByte(rest, 0) >= 0 {
			return fault.New(faultv1.Reason_REASON_DOCUMENT_BINARY, "The document is not text: it contains binary data.")
		}
		if !utf8.Valid(rest) {
			return badEncoding(rest, line)
		}
		if last {
			return nil
		}
		line += bytes.Count(rest, []byte{'\n'})
		kept = copy(buffer, text[len(rest):])
	}
}

// fill reads until a window is full, and reports whether the document has ended.
func fill(r io.Reader, into []byte) (n int, last bool, err error) {
	n, err = io.ReadFull(r, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, true, nil
	}
	if err != nil {
		return n, false, fmt.Errorf("parse: %w", err)
	}
	return n, false, nil
}

// mostlySample is how many bytes of a document are examined to recognize binary data.
const mostlySample = 64 << 10

// whole removes an incomplete character from the end of a text.
func whole(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				return text
			}
			return text[:i]
		}
	}
	return text
}
