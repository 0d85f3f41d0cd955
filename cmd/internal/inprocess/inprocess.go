// Package inprocess serves the whole product inside a test: every part runs in the process of the
// test, on a database and a port of its own.
//
// It is for tests of the product's RPCs and pages. Tests about processes start real processes; see
// cmd/e2e.
package inprocess

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
)

// The first operator of every installation.
const (
	AdminEmail    = "admin@gatehouse.local"
	AdminPassword = "correct horse battery staple"
)

// Installation is a running product.
type Installation struct {
	// URL is the address of the gateway, without a slash at its end.
	URL string
	// Database is the database that the services share.
	Database *pgtest.Database
}

// Session is the session of a signed-in user.
type Session struct {
	UserID         string
	OrganizationID string
	AccessToken    string
	// Email and Password are the credentials of the user.
	Email, Password string
}

// SignIn signs in the first operator.
func (i *Installation) SignIn(t testing.TB) Session {
	t.Helper()
	s := Session{Email: AdminEmail, Password: AdminPassword}
	return i.tokens(t, s, "/v1/auth/sign-in", map[string]string{"email": s.Email, "password": s.Password})
}

// SignUp creates a user with a personal organization.
func (i *Installation) SignUp(t testing.TB, email string) Session {
	t.Helper()
	s := Session{Email: email, Password: AdminPassword + " too"}
	return i.tokens(t, s, "/v1/auth/sign-up", map[string]string{"email": s.Email, "password": s.Password})
}

// Switch returns a session with another organization of the caller as the active one.
func (i *Installation) Switch(t testing.TB, s Session, organizationID string) Session {
	t.Helper()
	return i.tokens(t, s, "/v1/auth/switch-organization",
		map[string]string{"organizationId": organizationID})
}

func (i *Installation) tokens(t testing.TB, caller Session, path string, body map[string]string) Session {
	t.Helper()
	var pair struct{ AccessToken string }
	i.do(t, caller, http.MethodPost, path, body, &pair)
	s := Session{AccessToken: pair.AccessToken, Email: caller.Email, Password: caller.Password}
	var me struct{ ID, OrganizationID string }
	i.do(t, s, http.MethodGet, "/v1/me", nil, &me)
	s.UserID, s.OrganizationID = me.ID, me.OrganizationID
	return s
}

// Create creates a resource and returns its id.
func (i *Installation) Create(t testing.TB, s Session, path string, body any) string {
	t.Helper()
	var created struct{ ID string }
	Decode(t, i.Request(t, s, http.MethodPost, path, body), &created)
	return created.ID
}

// Get reads a resource.
func (i *Installation) Get(t testing.TB, s Session, path string, into any) {
	t.Helper()
	i.do(t, s, http.MethodGet, path, nil, into)
}

func (i *Installation) do(t testing.TB, s Session, method, path string, body, into any) {
	t.Helper()
	Decode(t, i.Request(t, s, method, path, body), into)
}

// Decode decodes a response, which must be a success.
func Decode(t testing.TB, resp *http.Response, into any) {
	t.Helper()
	defer resp.Body.Close() //nolint:errcheck // the body was read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %d %s", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v in %s", resp.Request.URL.Path, err, raw)
	}
}

// DecodeProblem decodes a response, which must be a refusal.
func DecodeProblem(t testing.TB, resp *http.Response, into any) {
	t.Helper()
	defer resp.Body.Close() //nolint:errcheck // the body was read
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode/100 == 2 {
		t.Fatalf("%s %s: %d, %v", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, err)
	}
}

// Request sends a request with a JSON body, or without one if body is nil. The caller closes the
// body of the response.
func (i *Installation) Request(t testing.TB, s Session, method, path string, body any) *http.Response {
	t.Helper()
	return i.RequestWith(t, s, method, path, body, nil)
}

// RequestWith is like [Installation.Request] and adds headers.
func (i *Installation) RequestWith(t testing.TB, s Session, method, path string, body any, header map[string]string) *http.Response {
	t.Helper()
	req := i.request(t, s, method, path, body)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return send(t, req)
}

// Drain reads a stream to its end and returns the number of bytes.
func (i *Installation) Drain(t testing.TB, s Session, path string) int64 {
	t.Helper()
	resp := i.Request(t, s, http.MethodGet, path, nil)
	defer resp.Body.Close() //nolint:errcheck // the body was read
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func send(t testing.TB, req *http.Request) *http.Response {
	t.Helper()
	resp, err := Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (i *Installation) request(t testing.TB, s Session, method, path string, body any) *http.Request {
	t.Helper()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, i.URL+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.AccessToken != "" {
		req.Header.Set("Authorization", "Bearer "+s.AccessToken)
	}
	return req
}
