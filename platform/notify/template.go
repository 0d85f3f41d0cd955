package notify

import (
	"errors"
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

	"github.com/gatehouse/gatehouse/platform/line"
)

// fallback is the language of every template.
const fallback = "en"

// Templates are the texts of messages, by name and language.
//
// There is a folder for each language, with files such as en/welcome.txt and, for
// emails, en/welcome.html. Both are filled with the same data: {{name}} is a value,
// which is escaped in HTML, and {{url name}} is a value that must be the address of a
// web page, for an attribute such as href. The first line of an email's text is its
// subject, after "Subject: ". An empty line follows it. Every template exists in English;
// it may be missing in other languages.
//
// A value is one line of text: line breaks and control characters in it become spaces
// ([line.Clean]). A value cannot change the subject, because subject and text are
// separated before values are inserted.
//
// The templates of the standard library are not used, because they call methods by
// name, so the linker must keep every method in the binary (decision 0015).
type Templates struct{ pages map[string]*page }

// page is a message in one language. An email has a subject and may have HTML.
type page struct{ subject, text, html *fasttemplate.Template }

// ParseTemplates reads the templates of a file system.
func ParseTemplates(files fs.FS) (*Templates, error) {
	t := &Templates{pages: map[string]*page{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return t.add(files, name)
	})
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for name, p := range t.pages {
		if p.text == nil {
			return nil, fmt.Errorf("templates: %s has no text", name)
		}
		if t.pages[fallback+name[strings.IndexByte(name, '/'):]] == nil {
			return nil, fmt.Errorf("templates: %s does not exist in English", name)
		}
	}
	return t, nil
}

func (t *Templates) add(files fs.FS, name string) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	key := strings.TrimSuffix(name, path.Ext(name))
	p := t.pages[key]
	if p == nil {
		p = &page{}
		t.pages[key] = p
	}
	switch path.Ext(name) {
	case ".txt":
		err = p.setText(string(raw))
	case ".html":
		p.html, err = parse(string(raw))
	default:
		err = errors.New("is neither text nor HTML")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// setText sets the text of a message. For an email it also sets the subject, which is at
// the beginning of the text.
func (p *page) setText(raw string) (err error) {
	if rest, mail := strings.CutPrefix(raw, "Subject: "); mail {
		subject, body, found := strings.Cut(rest, "\n\n")
		if !found || strings.ContainsAny(subject, "\r\n") {
			return errors.New("its subject is not one line, followed by an empty one")
		}
		if p.subject, err = parse(subject); err != nil {
			return err
		}
		raw = body
	}
	p.text, err = parse(raw)
	return err
}

func parse(raw string) (*fasttemplate.Template, error) {
	return fasttemplate.NewTemplate(raw, "{{", "}}")
}

// Locales returns the languages that have at least one template, sorted by name.
func (t *Templates) Locales() []string {
	found := map[string]bool{}
	for name := range t.pages {
		language, _, _ := strings.Cut(name, "/")
		found[language] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// Fill creates a message from a template in a language (BCP 47), or else in its base
// language, or else in English. The caller must set ID and To.
func (t *Templates) Fill(channel Channel, name, language string, data map[string]string) (Message, error) {
	key := t.key(name, language)
	p := t.pages[key]
	if p == nil {
		return Message{}, fmt.Errorf("templates: there is no %s", name)
	}
	m := Message{Channel: channel}
	parts := []part{{p.text, &m.Text, plain}}
	if channel == Email {
		if p.subject == nil {
			return Message{}, fmt.Errorf("templates: %s does not begin with its subject", key)
		}
		parts = append(parts, part{p.subject, &m.Subject, plain})
		if p.html != nil {
			parts = append(parts, part{p.html, &m.HTML, html.EscapeString})
		}
	}
	for _, part := range parts {
		filled, err := fill(part.template, data, part.escape)
		if err != nil {
			return Message{}, fmt.Errorf("templates: %s: %w", key, err)
		}
		*part.into = filled
	}
	return m, nil
}

// part is a template and the destination of its text.
type part struct {
	template *fasttemplate.Template
	into     *string
	escape   func(string) string
}

func plain(value string) string { return value }

// fill inserts values into a template. A value that is not in the data is an error.
func fill(t *fasttemplate.Template, data map[string]string, escape func(string) string) (string, error) {
	return t.ExecuteFuncStringWithErr(func(w io.Writer, tag string) (int, error) {
		name, isURL := strings.CutPrefix(tag, "url ")
		value, found := data[name]
		if !found {
			return 0, fmt.Errorf("there is no %q in its data", name)
		}
		if isURL && !webPage(value) {
			return 0, fmt.Errorf("%q is not the address of a web page", name)
		}
		return io.WriteString(w, escape(line.Clean(value)))
	})
}

func webPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// key returns the key of a template in the closest language.
func (t *Templates) key(name, language string) string {
	base, _, _ := strings.Cut(language, "-")
	for _, l := range []string{language, base} {
		if key := strings.ToLower(l) + "/" + name; t.pages[key] != nil {
			return key
		}
	}
	return fallback + "/" + name
}
