package mailing

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// deliverTimeout bounds one attempt: the composer's statements and the mail server.
const deliverTimeout = time.Minute

//go:embed templates
var files embed.FS

// Content is the content of an email.
type Content struct {
	// Template is the name of the template. Without one, no email is sent.
	Template string
	// Locale is the recipient's language. It overrides that of the message.
	Locale string
	// Data fills the template.
	Data map[string]string
}

// Composer returns the content of an email when it is about to be sent. It is called
// again when an attempt is retried.
type Composer func(ctx context.Context, m Message) (Content, error)

// Compose registers the composer of a kind of emails. It must be called before Run.
func (s *Service) Compose(kind Kind, compose Composer) { s.composers[kind] = compose }

// parseTemplates returns the templates of all emails.
func parseTemplates() (*notify.Templates, error) {
	below, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	templates, err := notify.ParseTemplates(below)
	if err != nil {
		return nil, fmt.Errorf("mailing: %w", err)
	}
	return templates, nil
}

// deliver composes and sends the email of a job.
func (s *Service) deliver(ctx context.Context, _ postgres.Scope, job jobs.Job[deliver]) error {
	m, err := s.sealer.open(job.Args)
	if err != nil || m.OverLimit {
		return err
	}
	content, err := s.compose(ctx, m)
	if err != nil || content.Template == "" {
		return err
	}
	if content.Locale == "" {
		content.Locale = m.Locale
	}
	data := map[string]string{"home": s.deps.PublicURL}
	for name, value := range content.Data {
		data[name] = value
	}
	email, err := s.templates.Fill(notify.Email, content.Template, content.Locale, data)
	if err != nil {
		// A retry would fail in the same way, so the job ends at once, and the log reports
		// it.
		return jobs.Permanent(fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the email cannot be composed"))
	}
	email.ID, email.To = m.ID, m.Address
	return s.deps.Sender.Send(ctx, email)
}

// compose returns the content of an email: from the composer of its kind, or else from
// the template with the name of the kind.
func (s *Service) compose(ctx context.Context, m Message) (Content, error) {
	if compose := s.composers[m.Kind]; compose != nil {
		return compose(ctx, m)
	}
	return Content{Template: string(m.Kind), Data: m.Data}, nil
}
