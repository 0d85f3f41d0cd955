package split_test

import (
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
)

// check splits a text and checks the properties that every split has.
func check(t *testing.T, text string, options split.Options, limit int) []split.Chunk {
	t.Helper()
	runes := []rune(text)
	chunks := split.Split(text, options)
	covered, last := make([]bool, len(runes)), -1
	for i, c := range chunks {
		if c.StartOffset < 0 || c.EndOffset > len(runes) || c.StartOffset >= c.EndOffset {
			t.Fatalf("chunk %d: offsets %d to %d of %d", i, c.StartOffset, c.EndOffset, len(runes))
		}
		if got := string(runes[c.StartOffset:c.EndOffset]); got != c.Text {
			t.Fatalf("chunk %d: the offsets contain %q, the text is %q", i, got, c.Text)
		}
		if n := utf8.RuneCountInString(c.Text); n > limit {
			t.Fatalf("chunk %d: %d code points, limit %d", i, n, limit)
		}
		if c.StartOffset <= last {
			t.Fatalf("chunk %d starts at %d, the previous one at %d", i, c.StartOffset, last)
		}
		last = c.StartOffset
		for j := c.StartOffset; j < c.EndOffset; j++ {
			covered[j] = true
		}
	}
	for i, r := range runes {
		if !covered[i] && !unicode.IsSpace(r) {
			t.Fatalf("%q at %d is in no chunk", r, i)
		}
	}
	return chunks
}

const guide = `# Handbook

Welcome to the handbook. It is short.

## Leave

Employees have 30 days of leave. Ask Dr. Meyer before booking.

` + "```go\n# not a heading\nfunc main() {}\n\nvar x = 1\n```" + `

| a | b |
|---|---|
| 1 | 2 |

### Parental

Parents have 12 months, i.e. a full year.

## Travel

- Book by train.
- Keep the receipts.
`

func TestSplit_FollowsTheStructure(t *testing.T) {
	t.Parallel()

	t.Run("headings start chunks and are their path", func(t *testing.T) {
		t.Parallel()
		chunks := check(t, guide, split.Options{Markdown: true}, 2000)
		var paths []string
		for _, c := range chunks {
			paths = append(paths, strings.Join(c.Headings, "/"))
		}
		want := "Handbook,Handbook/Leave,Handbook/Leave/Parental,Handbook/Travel"
		if got := strings.Join(paths, ","); got != want {
			t.Fatalf("paths %s, want %s", got, want)
		}
		if !strings.Contains(chunks[1].Text, "# not a heading\nfunc main() {}\n\nvar x = 1\n```") {
			t.Errorf("the code block is divided: %q", chunks[1].Text)
		}
	})

	t.Run("plain text has no headings", func(t *testing.T) {
		t.Parallel()
		if chunks := check(t, "# just a line\n\ntext", split.Options{}, 2000); len(chunks) != 1 || chunks[0].Headings != nil {
			t.Errorf("chunks %+v", chunks)
		}
	})

	t.Run("long sections overlap on sentences", func(t *testing.T) {
		t.Parallel()
		text := strings.Repeat("Überall steht ein kurzer Satz mit Wörtern. ", 200)
		chunks := check(t, text, split.Options{}, 900)
		for i := 1; i < len(chunks); i++ {
			overlap := chunks[i-1].EndOffset - chunks[i].StartOffset
			if overlap <= 0 || overlap > 120 {
				t.Fatalf("chunk %d overlaps by %d", i, overlap)
			}
			if !strings.HasPrefix(chunks[i].Text, "Überall") || !strings.HasSuffix(chunks[i].Text, "Wörtern.") {
				t.Fatalf("chunk %d is not made of whole sentences: %q", i, chunks[i].Text)
			}
		}
	})

	t.Run("text without space is divided at the limit", func(t *testing.T) {
		t.Parallel()
		check(t, strings.Repeat("界", 10_000), split.Options{}, 2000)
	})

	t.Run("a blank text has no chunks", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", " \n\n\t "} {
			if chunks := split.Split(text, split.Options{Markdown: true}); len(chunks) != 0 {
				t.Errorf("%q: %+v", text, chunks)
			}
		}
	})
}

func TestSentences_EndAtPunctuationAndLines(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"One. Two! Three? Four":                       {"One.", "Two!", "Three?", "Four"},
		"Pi is 3.14. It is known.":                    {"Pi is 3.14.", "It is known."},
		"Ask Dr. Meyer, e.g. Monday. He knows.":       {"Ask Dr. Meyer, e.g. Monday.", "He knows."},
		"J. S. Bach wrote it. Listen.":                {"J. S. Bach wrote it.", "Listen."},
		"He said \"no.\" Then he left.":               {"He said \"no.\"", "Then he left."},
		"wrapped\nlines stay. Together\nhere.":        {"wrapped\nlines stay.", "Together\nhere."},
		"# Title\nText.\n\n- one\n- two\n1. three":    {"Title", "Text.", "one", "two", "three"},
		"| a | b |\n| 1 | 2 |\nafter":                 {"| a | b |", "| 1 | 2 |", "after"},
		"第一句。第二句！":                                    {"第一句。", "第二句！"},
		"Am 31. März. Dann nicht.":                    {"Am 31. März.", "Dann nicht."},
		"  ":                                          nil,
		"The fee is 5.\nNext line starts. Ends 1999.": {"The fee is 5.", "Next line starts.", "Ends 1999."},
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range split.Sentences(text) {
				if string([]rune(text)[s.StartOffset:s.EndOffset]) != s.Text {
					t.Errorf("offsets of %q are wrong", s.Text)
				}
				got = append(got, s.Text)
			}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// FuzzSplit checks the properties on any text and any size.
func FuzzSplit(f *testing.F) {
	f.Add(guide, 100, 20, 150, true)
	f.Add("```\nnever closed\n\n# x", 10, 5, 20, true)
	f.Add("a\u2028b . c\n\n\n|", 1, 1, 1, false)
	f.Fuzz(func(t *testing.T, text string, target, overlap, limit int, markdown bool) {
		if !utf8.ValidString(text) {
			return // Parse returns valid UTF-8 only
		}
		target, limit = min(max(target, 1), 5000), min(max(limit, 1), 5000)
		check(t, text, split.Options{Target: target, Overlap: overlap, Max: limit, Markdown: markdown}, limit)
		runes := []rune(text)
		for _, s := range split.Sentences(text) {
			if string(runes[s.StartOffset:s.EndOffset]) != s.Text {
				t.Fatalf("offsets of %q are wrong", s.Text)
			}
		}
	})
}

// Each chunk below a heading repeats the heading. When a whole document is one heading, it
// must not be repeated completely.
func TestSplit_HeadingIsLong_IsShortened(t *testing.T) {
	t.Parallel()
	text := "# " + strings.Repeat("Größe ", 5000) + "\n\n" + strings.Repeat("A sentence of some words. ", 500)
	for _, chunk := range split.Split(text, split.Options{Markdown: true}) {
		if n := utf8.RuneCountInString(strings.Join(chunk.Headings, "")); n > 201 {
			t.Fatalf("the chunk at %d has headings of %d characters", chunk.StartOffset, n)
		}
	}
}

// The memory for each sentence must be small: a document of only line ends or exclamation
// marks has millions of sentences.
func TestSplit_MillionsOfSentences_UseLittleMemory(t *testing.T) { //nolint:paralleltest // other tests would allocate at the same time
	const size = 1 << 20
	for name, text := range map[string]string{
		"line ends":    strings.Repeat("\n", size),
		"exclamations": "# A\n## B\n### C\n" + strings.Repeat("A! ", size/3),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		split.Split(text, split.Options{Markdown: true})
		runtime.ReadMemStats(&after)
		if spent := (after.TotalAlloc - before.TotalAlloc) / size; spent > 150 {
			t.Errorf("%s: %d bytes allocated for each of the text", name, spent)
		}
	}
}
