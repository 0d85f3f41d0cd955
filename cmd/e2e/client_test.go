package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
)

const (
	// requestTimeout bounds a request with its whole answer, so that nothing that
	// hangs holds up the others.
	requestTimeout = 90 * time.Second
	indexedWithin  = 60 * time.Second
)

// client is somebody who uses an installation over HTTP.
type client struct {
	t    *testing.T
	i    *installation
	base string // the URL of the gateway that it uses
	http *http.Client
	tokenPair
}

// tokenPair is what a sign-in answers.
type tokenPair struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

// newClient is a client that has not signed in.
func (i *installation) newClient(t *testing.T) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, i: i, base: i.base, http: &http.Client{Transport: inprocess.Patient(transport), Timeout: requestTimeout}}
}

// admin is the first operator, signed in.
func (i *installation) admin(t *testing.T) *client {
	t.Helper()
	c := i.newClient(t)
	c.signIn(adminEmail, adminPassword)
	return c
}

// newUser is a new user with an organization of its own.
func (i *installation) newUser(t *testing.T) *client {
	t.Helper()
	c := i.newClient(t)
	email, password := newCredentials()
	i.keepSecret(password)
	c.useTokens(c.post("/v1/auth/sign-up", map[string]any{"email": email, "password": password}))
	return c
}

func newCredentials() (email, password string) {
	return id.New() + "@example.com", "a password of " + id.New()
}

// signIn makes the client a user.
func (c *client) signIn(email, password string) {
	c.t.Helper()
	c.useTokens(c.post("/v1/auth/sign-in", map[string]any{"email": email, "password": password}))
}

// useTokens keeps the tokens of an answer.
func (c *client) useTokens(answer answer) {
	c.t.Helper()
	answer.decode(&c.tokenPair)
	c.i.keepSecret(c.AccessToken)
	c.i.keepSecret(c.RefreshToken)
}

// reconnected is the same user with new connections, after the old ones have broken.
func (c *client) reconnected() *client {
	fresh := c.i.newClient(c.t)
	fresh.tokenPair, fresh.base = c.tokenPair, c.base
	return fresh
}

// request is what a client sends.
type request struct {
	method, path, contentType string
	body                      []byte
	header                    map[string]string
}

// try sends a request; the error is the connection's.
func (c *client) try(r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if c.AccessToken != "" {
		req.Header.Set("Authorization", "Bearer "+c.AccessToken)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return c.http.Do(req)
}

// open sends a request and returns the answer with its body still to be read.
func (c *client) open(r request) *http.Response {
	c.t.Helper()
	resp, err := c.try(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// attempt sends a request and reads the whole answer; the error is the
// connection's. Unlike the others it may be used from any goroutine.
func (c *client) attempt(r request) (answer, error) {
	resp, err := c.try(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{c.t, r, resp.StatusCode, resp.Header, body}, err
}

// do sends a request and reads the whole answer.
func (c *client) do(r request) answer {
	c.t.Helper()
	a, err := c.attempt(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

// answer is an answer that has come whole.
type answer struct {
	t      *testing.T
	to     request
	status int
	header http.Header
	body   []byte
}

// decode decodes the answer, which must be a good one.
func (a answer) decode(out any) {
	a.t.Helper()
	if a.status != http.StatusOK {
		a.t.Fatalf("%s %s: %d %s", a.to.method, a.to.path, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		a.t.Fatalf("%s %s: %v", a.to.method, a.to.path, err)
	}
}

// field is a field of the answer.
func (a answer) field(field string) string {
	a.t.Helper()
	var fields map[string]any
	a.decode(&fields)
	value, ok := fields[field].(string)
	if !ok {
		a.t.Fatalf("%s %s answers no %s: %s", a.to.method, a.to.path, field, a.body)
	}
	return value
}

func (c *client) get(path string) answer {
	c.t.Helper()
	return c.do(request{method: http.MethodGet, path: path})
}

func (c *client) post(path string, body any) answer {
	c.t.Helper()
	return c.do(c.postRequest(path, body))
}

func (c *client) postRequest(path string, body any) request {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return request{method: http.MethodPost, path: path, contentType: "application/json", body: raw}
}

// collection creates a collection.
func (c *client) collection() string {
	c.t.Helper()
	return c.post("/v1/collections", map[string]any{"displayName": "Handbook"}).field("id")
}

// upload sends a file into a collection.
func (c *client) upload(collectionID, fileName string, content []byte) answer {
	c.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	file, err := w.CreateFormFile("file", fileName)
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(request{
		method: http.MethodPost, path: "/v1/collections/" + collectionID + "/documents:upload",
		contentType: w.FormDataContentType(), body: form.Bytes(),
	})
}

// document is a document as its owner reads it.
type document struct {
	State    string
	Progress float64
	Failure  *struct{ Reason, Message string }
}

// indexed waits until a document is READY or FAILED.
func (c *client) indexed(documentID string) document {
	c.t.Helper()
	var d document
	eventually(c.t, "document "+documentID+" is indexed", indexedWithin, func() bool {
		c.get("/v1/documents/" + documentID).decode(&d)
		return d.State == "READY" || d.State == "FAILED"
	})
	return d
}

// handbook uploads a text that answers are drawn from, and waits for it.
func (c *client) handbook(text string) (collectionID, documentID string) {
	c.t.Helper()
	collectionID = c.collection()
	documentID = c.upload(collectionID, "handbook.md", []byte(text)).field("id")
	if d := c.indexed(documentID); d.State != "READY" || d.Progress != 1 {
		c.t.Fatalf("indexing ended as %+v", d)
	}
	return collectionID, documentID
}

// conversation begins a conversation over collections.
func (c *client) conversation(collectionIDs ...string) string {
	c.t.Helper()
	return c.post("/v1/conversations", map[string]any{"collectionIds": append([]string{}, collectionIDs...)}).field("id")
}
