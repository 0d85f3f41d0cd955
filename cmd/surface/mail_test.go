package surface_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/mailtest"
)

var codeInMail = regexp.MustCompile(`\?code=([A-Za-z0-9_-]{43})`)

// comparableResponse is a REST response without the parts that differ between requests.
type comparableResponse struct {
	status int
	body   []byte
	header http.Header
}

// postAnonymously sends a request without a credential.
func postAnonymously(t *testing.T, i *inprocess.Installation, path string, body map[string]string) comparableResponse {
	t.Helper()
	resp := i.Request(t, inprocess.Session{}, http.MethodPost, path, body)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	// RateLimit has the remaining requests of the address, which differ each time.
	for _, name := range []string{"X-Request-Id", "Date", "Traceparent", "RateLimit"} {
		resp.Header.Del(name)
	}
	return comparableResponse{resp.StatusCode, varyingFields.ReplaceAll(raw, nil), resp.Header}
}

func (a comparableResponse) same(b comparableResponse) bool {
	one, _ := json.Marshal(a.header)
	two, _ := json.Marshal(b.header)
	return a.status == b.status && bytes.Equal(a.body, b.body) && bytes.Equal(one, two)
}

// S14: where addresses must be confirmed, no response reveals whether an address has an account:
// not at sign-up, not when a password was forgotten, not at sign-in before the address is
// confirmed. The test uses a real mail server.
func TestS14ResponsesDoNotRevealWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_VERIFIED_EMAIL": "on", "GATEHOUSE_SMTP_URL": server.URL()})
	const known, unknown, password = "known@example.com", "other@example.com", "a rather long pass phrase"
	signUp := func(email string) comparableResponse {
		return postAnonymously(t, i, "/v1/auth/sign-up", map[string]string{"email": email, "password": password})
	}
	first := signUp(known)
	if first.status != http.StatusOK || bytes.Contains(first.body, []byte("eyJ")) {
		t.Fatalf("%d %s", first.status, first.body)
	}
	code := codeInMail.FindStringSubmatch(server.Wait(t, known, "Confirm your address").Text)[1]
	signIn := func(email string) comparableResponse {
		return postAnonymously(t, i, "/v1/auth/sign-in", map[string]string{"email": email, "password": password})
	}
	if unconfirmed, absent := signIn(known), signIn(unknown); unconfirmed.status != http.StatusUnauthorized || !unconfirmed.same(absent) {
		t.Errorf("before it is confirmed: %d %s\nunknown: %d %s", unconfirmed.status, unconfirmed.body, absent.status, absent.body)
	}
	if done := postAnonymously(t, i, "/v1/auth/email/verify", map[string]string{"token": code}); done.status != http.StatusOK {
		t.Fatalf("%d %s", done.status, done.body)
	}
	if in := signIn(known); in.status != http.StatusOK || !bytes.Contains(in.body, []byte(`"emailVerified":true`)) {
		t.Errorf("%d %s", in.status, in.body)
	}
	if taken, fresh := signUp(known), signUp(unknown); !taken.same(first) || !fresh.same(first) {
		t.Errorf("taken: %d %s\nnew: %d %s", taken.status, taken.body, fresh.status, fresh.body)
	}
	for _, path := range []string{"/v1/auth/password/forgot", "/v1/auth/email/resend"} {
		taken, absent := postAnonymously(t, i, path, map[string]string{"email": known}), postAnonymously(t, i, path, map[string]string{"email": "nobody@example.com"})
		if taken.status != http.StatusOK || !taken.same(absent) {
			t.Errorf("%s: %d %s\nabsent: %d %s", path, taken.status, taken.body, absent.status, absent.body)
		}
	}
	server.Wait(t, known, "You have an account already")
	server.Wait(t, known, "Choose a new password")
}
