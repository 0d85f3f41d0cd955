package mailing

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// deliverTimeout bounds one attempt: the writer's statements and the server.
const deliverTimeout = time.Minute

//go:embed templates
var files embed.FS

// Page is what a letter says.
type Page struct {
	// Template names the template; empty: there is nothing to send.
	Template string
	// Locale is the reader's language, where the writer knows it better than the
	// letter does.
	Locale string
	// Data fills the template.
	Data map[string]string
}

// Writer writes a letter when it is about to be sent, maybe for another time.
type Writer func(ctx context.Context, l Letter) (Page, error)

// Postman writes letters and sends them.
type Postman struct {
	sealer    *Sealer
	sender    *notify.Sender
	templates *notify.Templates
	// publicURL is told to every template, as home.
	publicURL string
	writers   map[Kind]Writer
}

// NewPostman returns a postman who sends by a sender.
func NewPostman(sealer *Sealer, sender *notify.Sender, publicURL string) (*Postman, error) {
	if sealer == nil || sender == nil || publicURL == "" {
		return nil, errors.New("mailing: every dependency is required")
	}
	below, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	templates, err := notify.ParseTemplates(below)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	return &Postman{sealer: sealer, sender: sender, templates: templates, publicURL: publicURL, writers: map[Kind]Writer{}}, nil
}

// Write registers the writer of a kind of letters, before any job is worked.
func (p *Postman) Write(kind Kind, w Writer) { p.writers[kind] = w }

// Locales lists the languages that letters are written in (BCP 47).
func (p *Postman) Locales() []string { return p.templates.Locales() }

// Register makes the workers deliver letters.
func (p *Postman) Register(workers *jobs.Workers) error {
	return jobs.Handle(workers, p.work, jobs.WorkOptions{Timeout: deliverTimeout})
}

// work delivers a letter.
func (p *Postman) work(ctx context.Context, _ postgres.Scope, job jobs.Job[deliver]) error {
	l, err := p.sealer.open(job.Args)
	if err != nil || l.Surplus {
		return err
	}
	page, err := p.write(ctx, l)
	if err != nil || page.Template == "" {
		return err
	}
	if page.Locale == "" {
		page.Locale = l.Locale
	}
	data := map[string]string{"home": p.publicURL}
	for name, value := range page.Data {
		data[name] = value
	}
	message, err := p.templates.Fill(notify.Email, page.Template, page.Locale, data)
	if err != nil {
		// Another attempt would fail in the same way, so the job ends at once, and the
		// log reports it.
		return jobs.Permanent(fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the letter cannot be written"))
	}
	message.ID, message.To = l.ID, l.Address
	return p.sender.Send(ctx, message)
}

func (p *Postman) write(ctx context.Context, l Letter) (Page, error) {
	if w := p.writers[l.Kind]; w != nil {
		return w(ctx, l)
	}
	return Page{Template: string(l.Kind), Data: l.Data}, nil
}
