package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// problem is an error as clients read it.
type problem struct {
	Type, Title, Detail, Code, Reason, Instance string
	Status                                      int
	RequestID                                   string `json:"requestId"`
	Violations                                  []struct{ Field, Message string }
}

// fields are those that break a rule, by comma.
func (p problem) fields() string {
	var out []string
	for _, v := range p.Violations {
		out = append(out, v.Field)
	}
	return strings.Join(out, ",")
}

// problem decodes an answer that must be an error, in the one form that all
// errors have.
func (a answer) problem() problem {
	a.t.Helper()
	var p problem
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		a.t.Fatalf("%s %s: %d is %s: %s", a.to.method, a.to.path, a.status, kind, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatalf("%s %s: %v", a.to.method, a.to.path, err)
	}
	if p.Status != a.status || p.Type == "" || p.Title == "" || p.Code == "" || p.Reason == "" ||
		p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		a.t.Errorf("%s %s: an incomplete problem: %s", a.to.method, a.to.path, a.body)
	}
	return p
}

// refusal is a request that must be refused, and how.
type refusal struct {
	name   string
	r      request
	status int
	reason string
	// fields are the fields that the problem names.
	fields string
	// header is one that the answer must have.
	header string
}

func problems(t *testing.T, i *installation) {
	c, visitor := i.newUser(t), i.newClient(t)
	for _, tc := range badRequests(c) {
		checkRefusal(t, c, tc)
	}
	for _, tc := range badCredentials(visitor) {
		checkRefusal(t, visitor, tc)
	}
}

func checkRefusal(t *testing.T, c *client, tc refusal) {
	t.Helper()
	a := c.do(tc.r)
	p := a.problem()
	if a.status != tc.status || p.Reason != tc.reason || p.fields() != tc.fields {
		t.Errorf("%s: %d %s, want %d %s naming %q", tc.name, a.status, a.body, tc.status, tc.reason, tc.fields)
	}
	if tc.header != "" && a.header.Get(tc.header) == "" {
		t.Errorf("%s: no %s", tc.name, tc.header)
	}
}

func badRequests(c *client) []refusal {
	raw := func(method, path, contentType, body string) request {
		return request{method: method, path: path, contentType: contentType, body: []byte(body)}
	}
	const asJSON = "application/json"
	return []refusal{
		{"short password", c.postRequest("/v1/auth/sign-up", map[string]any{"email": "a@example.com", "password": "short"}), 400, "INVALID_ARGUMENT", "password", ""},
		{"two bad fields", c.postRequest("/v1/auth/sign-up", map[string]any{"email": "nobody", "password": "short"}), 400, "INVALID_ARGUMENT", "email,password", ""},
		{"no name", c.postRequest("/v1/assistants", map[string]any{"description": "nameless"}), 400, "INVALID_ARGUMENT", "displayName", ""},
		{"bad model", c.postRequest("/v1/assistants", map[string]any{"displayName": "x", "model": "no slash"}), 400, "INVALID_ARGUMENT", "model", ""},
		{"unknown field", c.postRequest("/v1/collections", map[string]any{"displayName": "x", "bogus": 1}), 400, "INVALID_ARGUMENT", "bogus", ""},
		{"wrong type of field", c.postRequest("/v1/collections", map[string]any{"displayName": 7}), 400, "INVALID_ARGUMENT", "displayName", ""},
		{"unknown parameter", raw(http.MethodGet, "/v1/collections?bogus=1", "", ""), 400, "INVALID_ARGUMENT", "bogus", ""},
		{"bad page token", raw(http.MethodGet, "/v1/collections?pageToken=forged", "", ""), 400, "INVALID_ARGUMENT", "pageToken", ""},
		{"bad id", raw(http.MethodGet, "/v1/runs/seven", "", ""), 400, "INVALID_ARGUMENT", "id", ""},
		{"malformed JSON", raw(http.MethodPost, "/v1/collections", asJSON, `{"displayName":`), 400, "INVALID_ARGUMENT", "", ""},
		{"two values", raw(http.MethodPost, "/v1/collections", asJSON, `{} {}`), 400, "INVALID_ARGUMENT", "", ""},
		{"an array", raw(http.MethodPost, "/v1/collections", asJSON, `[]`), 400, "INVALID_ARGUMENT", "", ""},
		{"wrong content type", raw(http.MethodPost, "/v1/collections", "text/plain", `{"displayName":"x"}`), 415, "UNSUPPORTED_MEDIA_TYPE", "", ""},
		{"no form", raw(http.MethodPost, "/v1/collections/"+c.collection()+"/documents:upload", asJSON, `{}`), 415, "UNSUPPORTED_MEDIA_TYPE", "", ""},
		{"too large", raw(http.MethodPost, "/v1/collections", asJSON, `{"displayName":"`+strings.Repeat("x", 4<<20)+`"}`), 413, "PAYLOAD_TOO_LARGE", "", ""},
		{"unknown route", raw(http.MethodGet, "/v1/bogus", "", ""), 404, "ROUTE_NOT_FOUND", "", ""},
		{"unknown root", raw(http.MethodGet, "/bogus", "", ""), 404, "ROUTE_NOT_FOUND", "", ""},
		{"wrong method", raw(http.MethodPut, "/v1/collections", asJSON, `{}`), 405, "METHOD_NOT_ALLOWED", "", "Allow"},
		{"absent", raw(http.MethodGet, "/v1/runs/01890000-0000-7000-8000-000000000000", "", ""), 404, "NOT_FOUND", "", ""},
		{"model of nobody", c.postRequest("/v1/conversations/"+c.conversation()+"/messages:stream", map[string]any{"content": "x", "model": "nobody/none"}), 400, "MODEL_NOT_CONFIGURED", "", ""},
	}
}

func badCredentials(visitor *client) []refusal {
	wrong := visitor.postRequest("/v1/auth/sign-in", map[string]any{"email": adminEmail, "password": "not the password"})
	nobody := visitor.postRequest("/v1/auth/sign-in", map[string]any{"email": "nobody@example.com", "password": "not the password"})
	forged := request{method: http.MethodGet, path: "/v1/me", header: map[string]string{"Authorization": "Bearer forged"}}
	return []refusal{
		{"no credential", request{method: http.MethodGet, path: "/v1/me"}, 401, "UNAUTHENTICATED", "", "WWW-Authenticate"},
		{"forged credential", forged, 401, "UNAUTHENTICATED", "", "WWW-Authenticate"},
		{"wrong password", wrong, 401, "INVALID_CREDENTIALS", "", ""},
		{"unknown address", nobody, 401, "INVALID_CREDENTIALS", "", ""},
		{"unknown refresh token", visitor.postRequest("/v1/auth/refresh", map[string]any{"refreshToken": strings.Repeat("x", 43)}), 401, "REFRESH_TOKEN_INVALID", "", ""},
	}
}

// S60: documents that cannot be read end as FAILED and say why.
func badDocuments(t *testing.T, i *installation) {
	c := i.newUser(t)
	collectionID := c.collection()
	for _, tc := range []struct {
		name, file, reason string
		content            []byte
	}{
		{"empty", "empty.md", "DOCUMENT_EMPTY", nil},
		{"blank", "blank.txt", "DOCUMENT_EMPTY", []byte(" \n\t\n")},
		{"binary", "binary.txt", "DOCUMENT_BINARY", []byte("\x7fELF\x02\x01\x01\x00\x00\x00 and so on")},
		{"not UTF-8", "latin.txt", "DOCUMENT_ENCODING", []byte("Z\xfcge werden gebucht.")},
		{"unknown type", "slides.pptx", "DOCUMENT_UNSUPPORTED_TYPE", []byte("no slides")},
	} {
		d := c.indexed(c.upload(collectionID, tc.file, tc.content).field("id"))
		if d.State != "FAILED" || d.Failure == nil || d.Failure.Reason != tc.reason || !strings.HasSuffix(d.Failure.Message, ".") {
			t.Errorf("%s: %+v %+v", tc.name, d, d.Failure)
		}
	}
	tooLong := c.upload(collectionID, "large.txt", bytes.Repeat([]byte("All work and no play.\n"), 9<<20/22))
	if p := tooLong.problem(); tooLong.status != http.StatusRequestEntityTooLarge || p.Reason != "DOCUMENT_TOO_LARGE" {
		t.Errorf("too much text: %d %s", tooLong.status, tooLong.body)
	}
	tooLarge := c.upload(collectionID, "huge.txt", bytes.Repeat([]byte("x"), 33<<20))
	if p := tooLarge.problem(); tooLarge.status != http.StatusRequestEntityTooLarge || p.Reason != "PAYLOAD_TOO_LARGE" {
		t.Errorf("over the limit of uploads: %d %s", tooLarge.status, tooLarge.body)
	}
	// None of their jobs waits to be tried again.
	i.database.AdminExec(t, `DO $$ BEGIN
		IF EXISTS (SELECT FROM jobs_chat.river_job WHERE kind = 'index_document' AND state IN ('retryable', 'scheduled', 'discarded')) THEN
			RAISE EXCEPTION 'a document that cannot be read is tried again';
		END IF;
	END $$`)
}
