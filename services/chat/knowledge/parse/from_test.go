package parse_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

// A document from a file has the same result as one from memory. The limit of texts is so
// small here that HTML is read window by window.
func TestFrom_ReturnsTheSameAsParse(t *testing.T) {
	t.Parallel()
	filler := "<!--" + strings.Repeat("é", 1<<20) + "-->"
	limits := parse.Limits{Bytes: 32 << 20, TextBytes: 4 << 10}
	for name, c := range map[string]struct{ contentType, raw string }{
		"a page":                  {"text/html", "\xef\xbb\xbf<title>T</title><pre>a\r\nb\rc</pre>" + filler + "<p>Grüße"},
		"a page of nothing":       {"text/html", filler},
		"binary data":             {"text/html", "%PDF-" + filler},
		"a NUL at the end":        {"text/html", filler + "\n\x00"},
		"bad UTF-8 at the end":    {"text/html", filler + "\n\nx\xff"},
		"a character that is cut": {"text/html", filler + "\n\xc3"},
		"UTF-16":                  {"text/html", "\xff\xfe" + filler},
		"too much text":           {"text/html", filler + strings.Repeat("x", 5<<10)},
		"text":                    {"text/plain", "some text\r\n"},
		"a text that is too long": {"text/plain", strings.Repeat("x", 5<<10)},
		"another type":            {"image/png", "x"},
		"nothing":                 {"text/plain", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, wantErr := parse.Parse(t.Context(), c.contentType, []byte(c.raw), limits)
			got, err := parse.From(t.Context(), c.contentType, strings.NewReader(c.raw), len(c.raw), limits)
			if got != want || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Errorf("%.100v, %v; want %.100v, %v", got, err, want, wantErr)
			}
		})
	}
}

// S89: a document that is too large is not read at all.
func TestS89TooLargeDocumentsAreNotRead(t *testing.T) {
	t.Parallel()
	for contentType, size := range map[string]int{"text/plain": 8<<20 + 1, "text/markdown": 8<<20 + 1, "text/html": 32<<20 + 1} {
		_, err := parse.From(t.Context(), contentType, bytes.NewReader(nil), size, parse.DefaultLimits())
		if !fault.Is(err, faultv1.Reason_REASON_DOCUMENT_TOO_LARGE) {
			t.Errorf("%s: %v", contentType, err)
		}
	}
}
