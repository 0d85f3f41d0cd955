// Package e2e runs the product as its users meet it: over HTTP, against every
// part wired together, on a real Postgres.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"encoding/base64"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

const (
	adminEmail    = "admin@gatehouse.local"
	adminPassword = "correct horse battery staple"
	document      = "# Leave\n\nEvery employee has 28 days of paid leave a year. Request it two weeks ahead.\n\n" +
		"# Reisen\n\nZüge werden in der zweiten Klasse gebucht. Flights need the approval of a manager.\n"
)

// installation is a running product and a signed-in user.
type installation struct {
	t     *testing.T
	base  string
	token string
}

// start serves every part on a database of its own.
func start(t *testing.T) *installation {
	t.Helper()
	database := pgtest.New(t)
	s, err := settings.Load(map[string]string{
		"GATEHOUSE_DATABASE_URL":   database.AdminURL,
		"GATEHOUSE_SECRET_KEY":     base64.StdEncoding.EncodeToString(pgtest.SecretKey()),
		"GATEHOUSE_DATA_DIR":       t.TempDir(),
		"GATEHOUSE_GATEWAY_ADDR":   "127.0.0.1:0",
		"GATEHOUSE_OPS_ADDR":       "127.0.0.1:0",
		"GATEHOUSE_ADMIN_PASSWORD": adminPassword,
		"GATEHOUSE_RATE_LIMITS":    "off",
		"GATEHOUSE_LOG_LEVEL":      "error",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := process.Serve(ctx, s, "test", in, os.Stderr)
		_ = in.CloseWithError(err)
		done <- err
	}()
	greeting := bufio.NewReader(out)
	line, err := greeting.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, greeting) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the product did not stop cleanly: %v", err)
		}
	})
	i := &installation{t: t, base: strings.TrimSpace(strings.TrimPrefix(line, "Gatehouse is at "))}
	i.token = i.post("/v1/auth/sign-in", map[string]any{"email": adminEmail, "password": adminPassword})["accessToken"].(string)
	return i
}

func (i *installation) request(method, path, contentType string, body io.Reader, header map[string]string) *http.Response {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), method, i.base+path, body)
	if err != nil {
		i.t.Fatal(err)
	}
	if i.token != "" {
		req.Header.Set("Authorization", "Bearer "+i.token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (i *installation) decode(resp *http.Response) map[string]any {
	i.t.Helper()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		i.t.Fatalf("%s %s: %d %s", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, raw)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		i.t.Fatal(err)
	}
	return out
}

func (i *installation) post(path string, body any) map[string]any {
	i.t.Helper()
	return i.decode(i.request(http.MethodPost, path, "application/json", i.json(body), nil))
}

func (i *installation) get(path string) map[string]any {
	i.t.Helper()
	return i.decode(i.request(http.MethodGet, path, "", nil, nil))
}

func (i *installation) json(body any) io.Reader {
	i.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		i.t.Fatal(err)
	}
	return bytes.NewReader(raw)
}

// upload puts a Markdown file into a new collection and waits until it is
// searchable.
func (i *installation) upload(text string) (collectionID, documentID string) {
	i.t.Helper()
	collectionID = i.post("/v1/collections", map[string]any{"displayName": "Handbook"})["id"].(string)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "handbook.md")
	if err != nil {
		i.t.Fatal(err)
	}
	if _, err := io.WriteString(part, text); err != nil {
		i.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		i.t.Fatal(err)
	}
	resp := i.request(http.MethodPost, "/v1/collections/"+collectionID+"/documents:upload", w.FormDataContentType(), &form, nil)
	documentID = i.decode(resp)["id"].(string)
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		switch d := i.get("/v1/documents/" + documentID); d["state"] {
		case "READY":
			return collectionID, documentID
		case "FAILED":
			i.t.Fatalf("indexing failed: %v", d["failure"])
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			i.t.Fatal("the document was not indexed in 30 s")
		}
	}
}

// event is one event of a stream as it was sent.
type event struct {
	id   int
	name string
	data string
}

func (i *installation) events(resp *http.Response) []event {
	i.t.Helper()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		raw, _ := io.ReadAll(resp.Body)
		i.t.Fatalf("%d %s: %s", resp.StatusCode, resp.Header.Get("Content-Type"), raw)
	}
	var out []event
	var current event
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), ": ")
		switch name {
		case "id":
			id, err := strconv.Atoi(value)
			if err != nil {
				i.t.Fatal(err)
			}
			current.id = id
		case "event":
			current.name = value
		case "data":
			current.data = value
		case "":
			if current.name != "" {
				out = append(out, current)
			}
			current = event{}
		}
	}
	if err := scanner.Err(); err != nil {
		i.t.Fatal(err)
	}
	return out
}

func (i *installation) ask(collectionID, question string) []event {
	i.t.Helper()
	conversation := i.post("/v1/conversations", map[string]any{"collectionIds": []string{collectionID}})["id"].(string)
	return i.events(i.request(http.MethodPost, "/v1/conversations/"+conversation+"/messages:stream", "application/json",
		i.json(map[string]any{"content": question}), nil))
}

type runEvent struct {
	RunID        string `json:"runId"`
	Seq          int    `json:"seq"`
	MessageDelta *struct{ Text string }
	Citation     *citation
	RunCompleted *struct {
		Message struct {
			Content   string
			Citations []citation
			Flags     []string
		}
	}
}

type citation struct {
	Index                  int
	DocumentID             string `json:"documentId"`
	StartOffset, EndOffset int
	Quote                  string
}

func decodeEvents(t *testing.T, events []event) []runEvent {
	t.Helper()
	out := make([]runEvent, len(events))
	for n, e := range events {
		if err := json.Unmarshal([]byte(e.data), &out[n]); err != nil {
			t.Fatal(err)
		}
		if e.id != n+1 || out[n].Seq != e.id {
			t.Fatalf("event %d has id %d and seq %d", n+1, e.id, out[n].Seq)
		}
	}
	return out
}

func TestACitedAnswerStreamsAndResumesFromEveryPosition(t *testing.T) {
	t.Parallel()
	i := start(t)
	collectionID, documentID := i.upload(document)
	sent := i.ask(collectionID, "How many days of paid leave does an employee have?")
	if sent[0].name != "run.started" || sent[len(sent)-1].name != "run.completed" {
		t.Fatalf("from %s to %s", sent[0].name, sent[len(sent)-1].name)
	}
	events := decodeEvents(t, sent)
	answer := events[len(events)-1].RunCompleted.Message
	var text strings.Builder
	for _, e := range events {
		if e.MessageDelta != nil {
			text.WriteString(e.MessageDelta.Text)
		}
	}
	if text.String() != answer.Content || !strings.Contains(answer.Content, "28 days") {
		t.Errorf("deltas %q, content %q", text.String(), answer.Content)
	}
	content, err := io.ReadAll(i.request(http.MethodGet, "/v1/documents/"+documentID+"/content", "", nil, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Citations) == 0 {
		t.Error("the answer cites nothing")
	}
	for _, c := range answer.Citations {
		if quote := string([]rune(string(content))[c.StartOffset:c.EndOffset]); quote != c.Quote {
			t.Errorf("citation %d quotes %q, the document says %q", c.Index, c.Quote, quote)
		}
	}
	for after := range sent {
		again := i.events(i.request(http.MethodGet, "/v1/runs/"+events[0].RunID+"/events", "", nil,
			map[string]string{"Last-Event-ID": strconv.Itoa(after)}))
		if fmt.Sprint(again) != fmt.Sprint(sent[after:]) {
			t.Fatalf("after %d another reader sees\n%v\nwant\n%v", after, again, sent[after:])
		}
	}
	end := i.request(http.MethodGet, "/v1/runs/"+events[0].RunID+"/events", "", nil,
		map[string]string{"Last-Event-ID": strconv.Itoa(len(sent))})
	if end.StatusCode != http.StatusNoContent {
		t.Errorf("at the end: %d, want 204", end.StatusCode)
	}
}

func TestAQuestionThatTheDocumentsDoNotAnswer(t *testing.T) {
	t.Parallel()
	i := start(t)
	collectionID, _ := i.upload(document)
	events := decodeEvents(t, i.ask(collectionID, "Which planet is closest to the sun?"))
	answer := events[len(events)-1].RunCompleted
	if answer == nil || !strings.Contains(fmt.Sprint(answer.Message.Flags), "NO_ANSWER") || len(answer.Message.Citations) > 0 {
		t.Errorf("answered %+v", answer)
	}
}

func TestProblemsNameTheFieldAsTheBodySpellsIt(t *testing.T) {
	t.Parallel()
	i := start(t)
	for _, tc := range []struct {
		path, field string
		body        map[string]any
	}{
		{"/v1/auth/sign-up", "password", map[string]any{"email": "a@example.com", "password": "short"}},
		{"/v1/assistants", "displayName", map[string]any{"description": "nameless"}},
		{"/v1/assistants", "model", map[string]any{"displayName": "x", "model": "no slash"}},
		{"/v1/collections", "bogus", map[string]any{"displayName": "x", "bogus": 1}},
	} {
		resp := i.request(http.MethodPost, tc.path, "application/json", i.json(tc.body), nil)
		var problem struct {
			Reason, Detail string
			Violations     []struct{ Field string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest || len(problem.Violations) != 1 || problem.Violations[0].Field != tc.field {
			t.Errorf("%s: %d %+v, want a violation on %s", tc.path, resp.StatusCode, problem, tc.field)
		}
	}
}
