package parse_test

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

func TestParse_TextAndTitle(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		contentType, raw string
		title, text      string
	}{
		"plain text is its own text":       {"text/plain; charset=UTF-8", "\xef\xbb\xbfGrüße\r\nan alle\r", "", "Grüße\nan alle\n"},
		"Markdown is its own text":         {"text/markdown", "# The *Big* `Guide`\n\n**Bold** [x](y)\n", "The Big Guide", "# The *Big* `Guide`\n\n**Bold** [x](y)\n"},
		"the title is the highest heading": {"text/markdown", "## Small\n\ntext\n\nLarge\n=====\n", "Large", "## Small\n\ntext\n\nLarge\n=====\n"},
		"front matter has the title":       {"text/markdown", "---\ntitle: \"From above\"\n---\n# Below\n", "From above", "---\ntitle: \"From above\"\n---\n# Below\n"},
		"no heading, no title":             {"text/x-markdown", "just text", "", "just text"},
		"HTML blocks are apart":            {"text/html", "<h1>Head</h1><div>One</div><div>Two</div><p>Three", "Head", "Head\n\nOne\nTwo\n\nThree"},
		"HTML inline is together":          {"text/html", "<p>a<b>b</b>c  <i>d</i>\n e</p>", "", "abc d e"},
		"HTML entities":                    {"text/html", "<p>a &amp; b &lt;c&gt; &auml;&nbsp;&#x20AC; &amp;amp;</p>", "", "a & b <c> ä\u00a0€ &amp;"},
		"HTML without hidden elements":     {"text/html", "<title>T &amp; t</title><style>p{}</style><nav><ul><li>menu</ul></nav><p>text<script>if (a<b) {}</script></p><template><p>no</p></template><!-- no -->", "T & t", "text"},
		"HTML lists and tables":            {"text/html", "<ul><li>one<li><p>two</p></ul><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "", "- one\n- two\n\na b\nc"},
		"HTML keeps preformatted":          {"text/html", "<pre>a\n  b</pre>x", "", "a\n  b\n\nx"},
		"broken HTML":                      {"text/html", "<p>a<b>c</p></div><<p", "", "ac\n\n<"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := parse.Parse(t.Context(), c.contentType, []byte(c.raw), parse.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if doc.Text != c.text || doc.Title != c.title {
				t.Errorf("title %q, text %q\nwant  %q, text %q", doc.Title, doc.Text, c.title, c.text)
			}
		})
	}
}

func TestS60UnreadableDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	const (
		empty       = faultv1.Reason_REASON_DOCUMENT_EMPTY
		binary      = faultv1.Reason_REASON_DOCUMENT_BINARY
		encoding    = faultv1.Reason_REASON_DOCUMENT_ENCODING
		large       = faultv1.Reason_REASON_DOCUMENT_TOO_LARGE
		unsupported = faultv1.Reason_REASON_DOCUMENT_UNSUPPORTED_TYPE
	)
	cases := map[string]struct {
		contentType, raw string
		reason           faultv1.Reason
	}{
		"nothing":                  {"text/plain", "", empty},
		"space":                    {"text/markdown", " \n\t\n", empty},
		"a page without text":      {"text/html", "<script>x</script><title>t</title>", empty},
		"NUL":                      {"text/plain", "a\x00b", binary},
		"a PDF under another name": {"text/plain", "%PDF-1.7 …", binary},
		"control characters":       {"text/plain", strings.Repeat("a\x01\x02", 50), binary},
		"Latin-1":                  {"text/plain", "eins\nGr\xfc\xdfe", encoding},
		"UTF-16":                   {"text/plain", "\xff\xfea\x00", encoding},
		"a charset":                {"text/plain; charset=iso-8859-1", "a", encoding},
		"too many bytes":           {"text/plain", strings.Repeat("a", 2001), large},
		"too much text":            {"text/html", "<p>" + strings.Repeat("a ", 600), large},
		"a picture":                {"image/png", "x", unsupported},
		"no type":                  {"", "x", unsupported},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse.Parse(t.Context(), c.contentType, []byte(c.raw), parse.Limits{Bytes: 2000, TextBytes: 1000})
			if !fault.Is(err, c.reason) {
				t.Fatalf("error %v, want %v", err, c.reason)
			}
			if detail := fault.From(err).Detail(); !strings.HasSuffix(detail, ".") {
				t.Errorf("%q is not a sentence", detail)
			}
		})
	}

	t.Run("the fault names the line of a wrong byte", func(t *testing.T) {
		t.Parallel()
		_, err := parse.Parse(t.Context(), "text/plain", []byte("one\ntwo\nthr\xe9"), parse.DefaultLimits())
		if !strings.Contains(fault.From(err).Detail(), "line 3") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("a canceled context ends the parsing", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := parse.Parse(ctx, "text/html", []byte("<p>a"), parse.DefaultLimits()); !fault.Is(err, faultv1.Reason_REASON_CANCELLED) {
			t.Errorf("error %v", err)
		}
	})
}

func TestS60DeeplyNestedDocumentsAreParsed(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"text/html":     strings.Repeat("<div>", 10_000) + "deep" + strings.Repeat("</div>", 10_000),
		"text/markdown": strings.Repeat("> ", 10_000) + "deep",
	} {
		doc, err := parse.Parse(t.Context(), name, []byte(raw), parse.DefaultLimits())
		if err != nil || !strings.Contains(doc.Text, "deep") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse checks that Parse returns a valid text that is not blank, or a fault other than
// INTERNAL.
func FuzzParse(f *testing.F) {
	f.Add("text/html", "<p>a<b>&#0;</p><nav>")
	f.Add("text/markdown", "---\ntitle: x\n---\n# *a*")
	f.Add("text/plain", "a\r\nb")
	f.Fuzz(func(t *testing.T, contentType, raw string) {
		doc, err := parse.Parse(t.Context(), contentType, []byte(raw), parse.Limits{Bytes: 1 << 20, TextBytes: 1 << 19})
		if err != nil {
			if fault.Is(err, faultv1.Reason_REASON_INTERNAL) {
				t.Fatal(err)
			}
			return
		}
		if !utf8.ValidString(doc.Text) || strings.TrimSpace(doc.Text) == "" || strings.ContainsAny(doc.Text, "\x00\r") {
			t.Fatalf("text %q", doc.Text)
		}
	})
}
