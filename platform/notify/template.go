package notify

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"
)

// fallback is the language of every template.
const fallback = "en"

// Templates are what messages say, by name and language.
//
// They are read from a folder for each language: en/welcome.txt and, for mail,
// en/welcome.html. Both are filled with the same data, each by the rules of its
// own format. The first line of a mail's text is its subject, after "Subject: ",
// and is followed by an empty line. Every template exists in English; other
// languages may lack some.
type Templates struct {
	text map[string]*texttemplate.Template
	html map[string]*htmltemplate.Template
}

// ParseTemplates reads the templates of a file system.
func ParseTemplates(files fs.FS) (*Templates, error) {
	t := &Templates{text: map[string]*texttemplate.Template{}, html: map[string]*htmltemplate.Template{}}
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
	key := strings.TrimSuffix(name, path.Ext(name))
	switch path.Ext(name) {
	case ".txt":
		// A value that the data lacks is a mistake, not an empty place in a mail.
		t.text[key], err = texttemplate.New(name).Option("missingkey=error").Parse(string(raw))
	case ".html":
		t.html[key], err = htmltemplate.New(name).Option("missingkey=error").Parse(string(raw))
	default:
		err = fmt.Errorf("%s is neither text nor HTML", name)
	}
	return err //nolint:wrapcheck // wrapped by the caller
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
	var out bytes.Buffer
	if err := text.Execute(&out, data); err != nil {
		return Message{}, fmt.Errorf("templates: %w", err)
	}
	m := Message{Channel: channel, Text: out.String()}
	if channel != Email {
		return m, nil
	}
	head, body, _ := strings.Cut(m.Text, "\n\n")
	subject, found := strings.CutPrefix(head, "Subject: ")
	if !found || strings.ContainsAny(subject, "\r\n") {
		return Message{}, fmt.Errorf("templates: %s does not begin with its subject", key)
	}
	m.Subject, m.Text = subject, body
	out.Reset()
	if html := t.html[key]; html != nil {
		if err := html.Execute(&out, data); err != nil {
			return Message{}, fmt.Errorf("templates: %w", err)
		}
	}
	m.HTML = out.String()
	return m, nil
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
