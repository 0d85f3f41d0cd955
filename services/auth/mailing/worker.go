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

// Content is what a letter says.
type Content struct {
	// Template names the template; empty: there is nothing to send.
	Template string
	// Locale is the reader's language, where the writer knows it better than the
	// letter does.
	Locale string
	// Data fills the template.
	Data map[string]string
}

// Composer writes a letter when it is about to be sent, maybe for another time.
type Composer func(ctx context.Context, l Message) (Content, error)

// Worker writes letters and sends them.
type Worker struct {
	sealer    *Sealer
	sender    *notify.Sender
	templates *notify.Templates
	// publicURL is told to every template, as home.
	publicURL string
	composers map[Kind]Composer
}

// NewWorker returns a postman who sends by a sender.
func NewWorker(sealer *Sealer, sender *notify.Sender, publicURL string) (*Worker, error) {
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
	return &Worker{sealer: sealer, sender: sender, templates: templates, publicURL: publicURL, composers: map[Kind]Composer{}}, nil
}

// Compose registers the writer of a kind of letters, before any job is worked.
func (p *Worker) Compose(kind Kind, w Composer) { p.composers[kind] = w }

// Locales lists the languages that letters are written in (BCP 47).
func (p *Worker) Locales() []string { return p.templates.Locales() }

// Register makes the workers deliver letters.
func (p *Worker) Register(workers *jobs.Workers) error {
	return jobs.Handle(workers, p.deliver, jobs.WorkOptions{Timeout: deliverTimeout})
}

// deliver delivers a letter.
func (p *Worker) deliver(ctx context.Context, _ postgres.Scope, job jobs.Job[deliver]) error {
	l, err := p.sealer.open(job.Args)
	if err != nil || l.OverLimit {
		return err
	}
	page, err := p.compose(ctx, l)
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

func (p *Worker) compose(ctx context.Context, l Message) (Content, error) {
	if w := p.composers[l.Kind]; w != nil {
		return w(ctx, l)
	}
	return Content{Template: string(l.Kind), Data: l.Data}, nil
}
