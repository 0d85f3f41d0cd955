package e2e_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// loggedWithin is how long a line may take into a log.
const loggedWithin = 30 * time.Second

func operations(t *testing.T, i *installation) {
	c := i.newUser(t)
	if last := checkComplete(t, c.ask(c.conversation(), "What is 6 * 7?", "").readAll()); !strings.Contains(message(last).GetContent(), "42") {
		t.Errorf("answered %v", message(last))
	}
	var metrics strings.Builder
	for _, p := range i.shape.parts {
		checkReady(t, i, p)
		for _, path := range []string{"/livez", "/version", "/debug/pprof/"} {
			if status, _ := i.getOps(t, p.name, path); status != http.StatusOK {
				t.Errorf("%s answers %s with %d", p.name, path, status)
			}
		}
		_, body := i.getOps(t, p.name, "/metrics")
		metrics.WriteString(body)
	}
	for _, name := range []string{
		"http_server_request_duration_seconds", "rpc_server_call_duration_seconds", "db_client_operation_duration_seconds",
		"gatehouse_streams_open", "gatehouse_run_tokens_total", "gatehouse_jobs", "gatehouse_pool_connections",
	} {
		if !strings.Contains(metrics.String(), "\n"+name) {
			t.Errorf("nobody measures %s", name)
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/"} {
		if public := c.get(path); public.status != http.StatusNotFound {
			t.Errorf("the public port answers %s with %d", path, public.status)
		}
	}
	if out := i.command(t, "gatehouse", "doctor"); !strings.Contains(out, "database    ok") || !strings.Contains(out, "migrations  ok") {
		t.Errorf("the doctor says %s", out)
	}
}

// checkReady finds each dependency of a part by its name.
func checkReady(t *testing.T, i *installation, p part) {
	t.Helper()
	status, body := i.getOps(t, p.name, "/readyz")
	var report struct {
		Status string
		Checks map[string]struct{ Status string }
	}
	if err := json.Unmarshal([]byte(body), &report); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", p.name, status, body)
	}
	want := []string{"database", "migrations"}
	switch {
	case p.executesRuns:
		want = append(want, "listen", "workers")
	case p.servesClients: // alone, it has its peers instead of a database
		want = []string{"auth", "management", "chat"}
	}
	for _, name := range want {
		if report.Checks[name].Status != "up" {
			t.Errorf("%s is ready with %s %q", p.name, name, report.Checks[name].Status)
		}
	}
	if _, reported := report.Checks["database"]; reported && p.servesClients && !p.executesRuns {
		t.Errorf("%s reports a database, and uses none", p.name)
	}
}

// oneTrace follows a trace from the client through the logs of all parts that process a
// message.
func oneTrace(t *testing.T, i *installation) {
	c := i.newUser(t)
	assistantID := c.post("/v1/assistants", map[string]any{"displayName": "Helper"}).field("id")
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	trace := hex.EncodeToString(id[:])
	r := c.postRequest("/v1/conversations/"+c.conversation()+"/messages:stream", map[string]any{
		"content": "Hello?", "model": stubModel, "assistantId": assistantID,
	})
	r.header = map[string]string{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01", "X-Request-Id": "traced-" + trace}
	s := c.stream(r)
	s.readAll()
	if got := s.resp.Header.Get("X-Request-Id"); got != "traced-"+trace {
		t.Errorf("the request's id became %q", got)
	}
	for part, mark := range map[string]string{
		"the gateway": `"msg":"request"`, "chat": `"service":"chat"`, "management": `"service":"management"`,
	} {
		eventually(t, part+" logs the trace", loggedWithin, func() bool {
			for _, child := range i.children {
				for line := range strings.Lines(child.output.String()) {
					if strings.Contains(line, mark) && strings.Contains(line, `"trace_id":"`+trace+`"`) {
						return true
					}
				}
			}
			return false
		})
	}
}
