package notify_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	"github.com/gatehouse/gatehouse/platform/notify"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const from = "Gatehouse <no-reply@gatehouse.example>"

func open(t *testing.T, cfg notify.Config) *notify.Sender {
	t.Helper()
	cfg.From = from
	sender, err := notify.Open(cfg, clock.System())
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func email(to string) notify.Message {
	return notify.Message{
		ID: id.New(), Channel: notify.Email, To: to, Subject: "Grüße, Ada", Text: "Öffne https://example.org/?code=a-b_c\n", HTML: "<p>Öffne</p>",
	}
}

func TestSend_Email_ArrivesComplete(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	message := email("ada@example.org")
	if err := open(t, notify.Config{SMTPURL: server.URL()}).Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	got := server.Wait(t, "ada@example.org", "Ada")
	if got.Subject != message.Subject || strings.TrimSpace(got.Text) != strings.TrimSpace(message.Text) || got.HTML != message.HTML ||
		got.MessageID != "<"+message.ID+"@gatehouse.example>" || got.Automatic != "auto-generated" {
		t.Errorf("got %+v", got)
	}
}

// Over a network, the password and the links are encrypted, and the server must have a
// trusted certificate.
func TestSend_ServerWithTLS_IsVerified(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"smtp", "smtps"} {
		server, trust := mailtest.StartTLS(t, scheme)
		strict := server.URL() + "?starttls=required"
		if err := open(t, notify.Config{SMTPURL: strict, TLS: trust}).Send(t.Context(), email("ada@example.org")); err != nil {
			t.Fatal(scheme, err)
		}
		server.Wait(t, "ada@example.org", "Ada")
		if err := open(t, notify.Config{SMTPURL: strict}).Send(t.Context(), email("bea@example.org")); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
			t.Errorf("%s: a server with an unknown certificate: %v", scheme, err)
		}
		if mails := server.Mails(); len(mails) != 1 {
			t.Errorf("%s: %d mails arrived", scheme, len(mails))
		}
	}
}

// A server that does not respond cannot block Send for longer than the context.
func TestSend_ServerDoesNotRespond_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = open(t, notify.Config{SMTPURL: "smtp://" + listener.Addr().String()}).Send(ctx, email("ada@example.org"))
	if !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
		t.Error(err)
	}
}

func TestSend_SMTPFails_ReasonShowsWhetherToRetry(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	server.Refuse("nobody@example.org")
	for name, tc := range map[string]struct {
		cfg     notify.Config
		message notify.Message
		want    faultv1.Reason
	}{
		"no server listens":    {notify.Config{SMTPURL: "smtp://" + mailtest.Reserve(t)}, email("ada@example.org"), faultv1.Reason_REASON_UNAVAILABLE},
		"wrong credentials":    {notify.Config{SMTPURL: "smtp://a:b@" + server.Address}, email("ada@example.org"), faultv1.Reason_REASON_UNAVAILABLE},
		"no encryption":        {notify.Config{SMTPURL: server.URL() + "?starttls=required"}, email("ada@example.org"), faultv1.Reason_REASON_UNAVAILABLE},
		"unknown receiver":     {notify.Config{SMTPURL: server.URL()}, email("nobody@example.org"), faultv1.Reason_REASON_INVALID_ARGUMENT},
		"no address":           {notify.Config{SMTPURL: server.URL()}, email("nobody\r\nBcc: all@example.org"), faultv1.Reason_REASON_INVALID_ARGUMENT},
		"no server, no outbox": {notify.Config{}, email("ada@example.org"), faultv1.Reason_REASON_UNAVAILABLE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := open(t, tc.cfg).Send(t.Context(), tc.message); !fault.Is(err, tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestOpen_MalformedURL_ErrorHasNoSecret(t *testing.T) {
	t.Parallel()
	for _, cfg := range []notify.Config{
		{SMTPURL: "http://u:hunter2@mail.example.org"},
		{SMTPURL: "smtp://u:hunter2@"},
		{SMTPURL: "smtp://u:hunter2@mail.example.org?starttls=never"},
		{SMTPURL: "smtp://u:hunter2@mail.example.org?from=nobody"},
		{SMTPURL: "smtp://u:hunter2@mail.example.org:port"},
		{SMSURL: "twilio://sid@?from=%2B1555"},
		{SMSURL: "twilio://sid:hunter2@"},
		{SMSURL: "other://sid:hunter2@?from=%2B1555"},
	} {
		_, err := notify.Open(cfg, clock.System())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestCheck_SendsNoMessage(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	if err := open(t, notify.Config{SMTPURL: server.URL()}).Check(t.Context(), notify.Email); err != nil {
		t.Error(err)
	}
	sender := edge(t, func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); r.Method != http.MethodGet || r.URL.Path != "/2010-04-01/Accounts/AC1.json" || user != "AC1" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	if err := sender.Check(t.Context(), notify.SMS); err != nil {
		t.Error(err)
	}
	for name, cfg := range map[string]notify.Config{
		"no server listens": {SMTPURL: "smtp://" + mailtest.Reserve(t)}, "wrong password": {SMTPURL: "smtp://gatehouse:wrong@" + server.Address}, "none": {},
	} {
		if err := open(t, cfg).Check(t.Context(), notify.Email); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if mails := server.Mails(); len(mails) > 0 {
		t.Errorf("%d mails arrived", len(mails))
	}
}

// edge returns a sender with a fake of Twilio's API.
func edge(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *notify.Sender {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, notify.Config{SMSURL: "twilio://AC1:secret@" + u.Host + "?from=+15550001", HTTPClient: server.Client()})
}

func TestSend_SMS_CallsTwilio(t *testing.T) {
	t.Parallel()
	var got []string
	sender := edge(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got = append(got, r.Method, r.URL.Path, user, password, r.FormValue("From"), r.FormValue("To"), r.FormValue("Body"))
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprint(w, `{"sid": "SM1"}`)
	})
	if err := sender.Send(t.Context(), notify.Message{ID: id.New(), Channel: notify.SMS, To: "+15550002", Text: "123456"}); err != nil {
		t.Fatal(err)
	}
	want := "POST /2010-04-01/Accounts/AC1/Messages.json AC1 secret +15550001 +15550002 123456"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}

func TestSend_TwilioFails_ReasonShowsWhetherToRetry(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]faultv1.Reason{
		http.StatusBadRequest:      faultv1.Reason_REASON_INVALID_ARGUMENT,
		http.StatusUnauthorized:    faultv1.Reason_REASON_UNAVAILABLE,
		http.StatusTooManyRequests: faultv1.Reason_REASON_UNAVAILABLE,
		http.StatusBadGateway:      faultv1.Reason_REASON_UNAVAILABLE,
	} {
		sender := edge(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		err := sender.Send(t.Context(), notify.Message{ID: id.New(), Channel: notify.SMS, To: "+1", Text: "x"})
		if !fault.Is(err, want) {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}

func TestOutbox_MessageSentTwice_IsListedOnceNewestFirst(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "made with it")
	clk := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	sender, err := notify.Open(notify.Config{Outbox: folder}, clk)
	if err != nil {
		t.Fatal(err)
	}
	first, second := email("first@example.org"), notify.Message{ID: id.New(), Channel: notify.SMS, To: "+1555", Text: "second"}
	for _, m := range []notify.Message{first, second, first} {
		if err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		clk.Advance(time.Second)
	}
	all, err := sender.Outbox().List("", 10)
	if err != nil || len(all) != 2 || all[0].Message != first || all[1].Message != second {
		t.Fatalf("%v %+v", err, all)
	}
	if rest, err := sender.Outbox().List(all[0].Cursor, 10); err != nil || len(rest) != 1 || rest[0].ID != second.ID {
		t.Errorf("%v %+v", err, rest)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", err, entries)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestOutbox_Empty_ListsNothing(t *testing.T) {
	t.Parallel()
	if all, err := notify.NewOutbox(filepath.Join(t.TempDir(), "absent"), clock.System()).List("", 10); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

func files() fs.FS {
	return fstest.MapFS{
		"en/hello.txt":  {Data: []byte("Subject: Hello\n\nHello {{name}}\n")},
		"en/hello.html": {Data: []byte(`<p>Hello {{name}} <a title="{{name}}" href="{{url link}}">here</a></p>`)},
		"de/hello.txt":  {Data: []byte("Subject: Hallo\n\nHallo {{name}}\n")},
		"en/code.txt":   {Data: []byte("{{code}} is your code")},
	}
}

func TestTemplates_UnknownLanguage_FallBackToEnglishAndEscape(t *testing.T) {
	t.Parallel()
	templates, err := notify.ParseTemplates(files())
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]string{"name": `"><script>&{{name}}`, "link": `https://example.org/?a=1&b="`}
	m, err := templates.Fill(notify.Email, "hello", "fr-CA", data)
	if err != nil || m.Subject != "Hello" || m.Text != "Hello \"><script>&{{name}}\n" {
		t.Errorf("%v %+v", err, m)
	}
	const escaped = "&#34;&gt;&lt;script&gt;&amp;{{name}}"
	if want := `<p>Hello ` + escaped + ` <a title="` + escaped + `" href="https://example.org/?a=1&amp;b=&#34;">here</a></p>`; m.HTML != want {
		t.Errorf("%s\nwant %s", m.HTML, want)
	}
	if m, err := templates.Fill(notify.Email, "hello", "de-AT", data); err != nil || m.Subject != "Hallo" {
		t.Errorf("%v %+v", err, m)
	}
	if m, err := templates.Fill(notify.SMS, "code", "de", map[string]string{"code": "123"}); err != nil || m.Text != "123 is your code" {
		t.Errorf("%v %+v", err, m)
	}
	for _, link := range []string{"javascript:alert(1)", "data:text/html,x", "/relative", "https:", ""} {
		if m, err := templates.Fill(notify.Email, "hello", "en", map[string]string{"name": "a", "link": link}); err == nil {
			t.Errorf("a link to %q is accepted: %+v", link, m)
		}
	}
	for _, name := range []string{"hello", "absent"} {
		if m, err := templates.Fill(notify.Email, name, "en", nil); err == nil {
			t.Errorf("%s without its data is %+v", name, m)
		}
	}
}

func TestParseTemplates_NotInEnglish_IsRefused(t *testing.T) {
	t.Parallel()
	if _, err := notify.ParseTemplates(fstest.MapFS{"de/hello.txt": {Data: []byte("Hallo")}}); err == nil {
		t.Error("a template that does not exist in English is accepted")
	}
}

// S88: a value cannot add a line, a header or another body to an email, whatever it
// contains.
func TestS88ValuesCannotChangeTheStructureOfAnEmail(t *testing.T) {
	t.Parallel()
	templates, err := notify.ParseTemplates(fstest.MapFS{
		"en/invite.txt":  {Data: []byte("Subject: Come to {{name}}\n\nJoin {{name}}.\nNow.\n")},
		"en/invite.html": {Data: []byte("<p>Join {{name}}.</p>")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, clean := range map[string]string{
		"Acme\n\nYour account is locked.\nSee http://evil.example": "Acme Your account is locked. See http://evil.example",
		"Acme\r\nBcc: everybody@example.org":                       "Acme Bcc: everybody@example.org",
		"Acme\u2028Subject: x\x00":                                 "Acme Subject: x",
		"\n\nSubject: another":                                     "Subject: another",
	} {
		m, err := templates.Fill(notify.Email, "invite", "en", map[string]string{"name": name})
		if err != nil || m.Subject != "Come to "+clean || m.Text != "Join "+clean+".\nNow.\n" || m.HTML != "<p>Join "+clean+".</p>" {
			t.Errorf("%q: %v %+v", name, err, m)
		}
	}
}

func TestParseTemplates_EmailWithoutOneSubject_IsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Subject: a\nb\n\nText", "Subject: a\nText", "Subject: a"} {
		if _, err := notify.ParseTemplates(fstest.MapFS{"en/a.txt": {Data: []byte(text)}}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	if _, err := notify.ParseTemplates(fstest.MapFS{"en/a.html": {Data: []byte("<p>")}}); err == nil {
		t.Error("HTML without a text is accepted")
	}
}
