package mailing

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

func sealerFor(t *testing.T, key string) *sealer {
	t.Helper()
	s, err := newSealer([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// S73, S74: a queued message can be opened only with the installation's key, and only
// as the message of its job.
func TestS74MessagesAreSealedForTheirJob(t *testing.T) {
	t.Parallel()
	s := sealerFor(t, "one key")
	message := Message{ID: "1", Kind: "sign_up", Address: "ada@example.org", Data: map[string]string{"passwordHash": "$argon2id$"}}
	job, err := s.seal(message)
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"ada", "sign_up", "argon2"} {
		if strings.Contains(string(job.Sealed), plain) {
			t.Errorf("%q can be read", plain)
		}
	}
	if opened, err := s.open(job); err != nil || opened.Address != message.Address || opened.Data["passwordHash"] != "$argon2id$" {
		t.Errorf("%v %+v", err, opened)
	}
	altered := deliver{ID: "1", Sealed: append([]byte{job.Sealed[0] ^ 1}, job.Sealed[1:]...)}
	for name, try := range map[string]func() error{
		"another key": func() error { _, err := sealerFor(t, "another key").open(job); return err },
		"another job": func() error { _, err := s.open(deliver{ID: "2", Sealed: job.Sealed}); return err },
		"altered":     func() error { _, err := s.open(altered); return err },
		"empty":       func() error { _, err := s.open(deliver{ID: "1"}); return err },
	} {
		if err := try(); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressHash_DependsOnKeyAndAddress(t *testing.T) {
	t.Parallel()
	one, another := sealerFor(t, "one key").addressHash("ada@example.org"), sealerFor(t, "another key").addressHash("ada@example.org")
	if string(one) == string(another) || string(one) != string(sealerFor(t, "one key").addressHash("ada@example.org")) {
		t.Error("the hash does not depend on the key and the address")
	}
}

// Every email has a subject, and a text and an HTML form with the same content.
func TestTemplates_HaveSubjectAndBothForms(t *testing.T) {
	t.Parallel()
	templates, err := parseTemplates()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := files.ReadDir("templates/en")
	if err != nil {
		t.Fatal(err)
	}
	places := regexp.MustCompile(`\{\{(?:url )?([A-Za-z]+)\}\}`)
	for _, entry := range entries {
		name, found := strings.CutSuffix(entry.Name(), ".txt")
		if !found {
			continue
		}
		raw, err := files.ReadFile("templates/en/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		data := map[string]string{}
		for _, place := range places.FindAllStringSubmatch(string(raw), -1) {
			data[place[1]] = "https://gatehouse.example/" + place[1]
		}
		m, err := templates.Fill(notify.Email, name, "", data)
		if err != nil || m.Subject == "" || m.Text == "" || !strings.Contains(m.HTML, "<html lang=") {
			t.Errorf("%s: %v %+v", name, err, m)
		}
		for place, value := range data {
			if strings.Contains(m.Text, value) != strings.Contains(m.HTML, value) {
				t.Errorf("only one form of %s has its %s", name, place)
			}
		}
		if link := data["link"]; link != "" && !strings.Contains(m.HTML, `href="`+link) {
			t.Errorf("the HTML form of %s has no link", name)
		}
	}
	if len(entries) < 20 {
		t.Errorf("only %d templates", len(entries))
	}
}

// S88: the job of an email that cannot be composed ends at once, and the log reports
// it.
func TestS88EmailWithoutTemplateFailsPermanently(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	sender, err := notify.Open(notify.Config{Outbox: t.TempDir()}, clock.System())
	must(t, err)
	logged := make(chan string, 1)
	s, err := New(Deps{
		DB: db, Sender: sender, SecretKey: []byte("key"), PublicURL: "https://gatehouse.example", Clock: clock.System(),
		Log: slog.New(slog.NewTextHandler(errorsTo(logged), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-done)
	})
	must(t, s.EnqueueNow(t.Context(), Message{Kind: "unknown", Address: "ada@example.org"}))
	line := <-logged
	if !strings.Contains(line, "permanent=true") || !strings.Contains(line, "deliver_letter") || strings.Contains(line, "ada@example.org") {
		t.Errorf("the log has %s", line)
	}
	for state := ""; state != "cancelled"; {
		state, err = postgres.QueryOne(t.Context(), db, postgres.Scope{}, pgx.RowTo[string],
			"SELECT state::text FROM jobs_auth.river_job WHERE kind = 'deliver_letter'")
		must(t, err)
		if state == "retryable" {
			t.Fatal("the job is retried")
		}
	}
}

// errorsTo is a writer that passes each line on.
type errorsTo chan string

// Write implements [io.Writer].
func (c errorsTo) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
