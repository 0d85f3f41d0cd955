package notify

import (
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/valyala/fasttemplate"
)

// fallback is the language of every template.
const fallback = "en"

// Templates are what messages say, by name and language.
//
// They are read from a folder for each language: en/welcome.txt and, for mail,
// en/welcome.html. Both are filled with the same data: {{name}} is a value, which
// HTML escapes, and {{url name}} is one that must be the address of a web page, for
// an attribute such as href. The first line of a mail's text is its subject, after
// "Subject: ", and is followed by an empty line. Every template exists in English;
// other languages may lack some.
//
// The standard library's templates would do more, but calling methods by name is a
// part of that, and keeps every method of the binary in it (decision 0015).
type Templates struct {
	text, html map[string]*fasttemplate.Template
}

// ParseTemplates reads the templates of a file system.
func ParseTemplates(files fs.FS) (*Templates, error) {
	t := &Templates{text: map[string]*fasttemplate.Template{}, html: map[string]*fasttemplate.Template{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return t.add(files, name)
	})
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for name := range t.text {
		if _, english := t.text[fallback+name[strings.IndexByte(name, '/'):]]; !english {
			return nil, fmt.Errorf("templates: %s does not exist in English", name)
		}
	}
	return t, nil
}

func (t *Templates) add(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by the caller
	}
	parsed, err := fasttemplate.NewTemplate(string(raw), "{{", "}}")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	key := strings.TrimSuffix(name, path.Ext(name))
	switch path.Ext(name) {
	case ".txt":
		t.text[key] = parsed
	case ".html":
		t.html[key] = parsed
	default:
		return fmt.Errorf("%s is neither text nor HTML", name)
	}
	return nil
}

// Locales lists the languages of which there is any template, by name.
func (t *Templates) Locales() []string {
	found := map[string]bool{}
	for name := range t.text {
		language, _, _ := strings.Cut(name, "/")
		found[language] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// Fill writes a message by a template in a language (BCP 47), or else in its
// base language, or else in English. ID and To are the caller's to set.
func (t *Templates) Fill(channel Channel, name, language string, data map[string]string) (Message, error) {
	key := t.key(name, language)
	text := t.text[key]
	if text == nil {
		return Message{}, fmt.Errorf("templates: there is no %s", name)
	}
	filled, err := fill(text, data, func(value string) string { return value })
	if err != nil {
		return Message{}, fmt.Errorf("templates: %s: %w", key, err)
	}
	m := Message{Channel: channel, Text: filled}
	if channel != Email {
		return m, nil
	}
	head, body, _ := strings.Cut(m.Text, "\n\n")
	subject, found := strings.CutPrefix(head, "Subject: ")
	if !found || strings.ContainsAny(subject, "\r\n") {
		return Message{}, fmt.Errorf("templates: %s does not begin with its subject", key)
	}
	m.Subject, m.Text = subject, body
	if page := t.html[key]; page != nil {
		if m.HTML, err = fill(page, data, html.EscapeString); err != nil {
			return Message{}, fmt.Errorf("templates: %s: %w", key, err)
		}
	}
	return m, nil
}

// fill puts values into a template. One that the data lacks is a mistake, not an
// empty place in a mail.
func fill(t *fasttemplate.Template, data map[string]string, escape func(string) string) (string, error) {
	return t.ExecuteFuncStringWithErr(func(w io.Writer, tag string) (int, error) { //nolint:wrapcheck // wrapped by the caller
		name, isURL := strings.CutPrefix(tag, "url ")
		value, found := data[name]
		if !found {
			return 0, fmt.Errorf("there is no %q in its data", name)
		}
		if isURL && !webPage(value) {
			return 0, fmt.Errorf("%q is not the address of a web page", name)
		}
		return io.WriteString(w, escape(value))
	})
}

func webPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// key finds a template's closest language.
func (t *Templates) key(name, language string) string {
	base, _, _ := strings.Cut(language, "-")
	for _, l := range []string{language, base} {
		if key := strings.ToLower(l) + "/" + name; t.text[key] != nil {
			return key
		}
	}
	return fallback + "/" + name
}
