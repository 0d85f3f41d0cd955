package surface_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// servicePaths returns one path of each service.
func servicePaths() []string {
	return []string{"/v1/me", "/v1/assistants", "/v1/conversations", "/v1/collections"}
}

// S3, S8: every service accepts only one access token, in the header Authorization. It refuses
// everything else with the same message.
func TestS8CredentialsAreReadFromTheAuthorizationHeaderAlone(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	var pair struct{ RefreshToken string }
	inprocess.Decode(t, i.Request(t, inprocess.Session{}, http.MethodPost, "/v1/auth/sign-in",
		map[string]string{"email": inprocess.AdminEmail, "password": inprocess.AdminPassword}), &pair)
	token := s.AccessToken
	header, rest, _ := strings.Cut(token, ".")
	for _, path := range servicePaths() {
		bodies := map[string]bool{}
		for name, tc := range map[string]struct {
			query  string
			header http.Header
		}{
			"S8 in a cookie":              {"", http.Header{"Cookie": {"access_token=" + token, "authorization=Bearer " + token}}},
			"S8 in the query":             {"?access_token=" + token, nil},
			"S8 in a header of its own":   {"", http.Header{"X-Access-Token": {token}, "X-Api-Key": {token}}},
			"S8 two of them":              {"", http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}},
			"S8 in another scheme":        {"", http.Header{"Authorization": {"Token " + token}}},
			"S3 a refresh token":          {"", http.Header{"Authorization": {"Bearer " + pair.RefreshToken}}},
			"S1 another header":           {"", http.Header{"Authorization": {"Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + rest}}},
			"S1 without its signature":    {"", http.Header{"Authorization": {"Bearer " + token[:strings.LastIndex(token, ".")+1]}}},
			"S6 a million dots":           {"", http.Header{"Authorization": {"Bearer " + header + strings.Repeat(".", 8<<10)}}},
			"S8 as a header in the query": {"?Authorization=Bearer+" + token, nil},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL+path+tc.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.header != nil {
				req.Header = tc.header
			}
			status, body, answerHeader := doRequest(t, req)
			// A query may also be refused for its unknown parameter.
			if status != http.StatusUnauthorized && (tc.query == "" || status != http.StatusBadRequest) {
				t.Errorf("%s, %s: %d %s", path, name, status, body)
			}
			if status == http.StatusUnauthorized {
				if answerHeader.Get("WWW-Authenticate") == "" {
					t.Errorf("%s, %s: no WWW-Authenticate", path, name)
				}
				if !strings.Contains(string(body), `"reason":"UNAUTHENTICATED"`) {
					t.Errorf("%s, %s: %s", path, name, body)
				}
			}
			// The message may describe what is wrong with a request, but not with a token.
			if strings.HasPrefix(name, "S1") || strings.HasPrefix(name, "S3") {
				bodies[string(body)] = true
			}
		}
		if len(bodies) != 1 {
			t.Errorf("%s refuses in %d different ways: %v", path, len(bodies), bodies)
		}
	}
}

// doRequest sends a request and returns the response without varyingFields.
func doRequest(t *testing.T, req *http.Request) (int, []byte, http.Header) {
	t.Helper()
	resp, err := inprocess.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return readResponse(t, resp)
}

// readResponse returns the status, the body without varyingFields and the headers.
func readResponse(t *testing.T, resp *http.Response) (int, []byte, http.Header) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, varyingFields.ReplaceAll(raw, nil), resp.Header
}

// S9: sign-in with an unknown address returns the same bytes as with a wrong password.
func TestS9UnknownAddressIsRefusedLikeAWrongPassword(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	i.SignUp(t, "ada@example.com")
	var answers []string
	for _, address := range []string{"ada@example.com", "bob@example.com"} {
		status, body, header := readResponse(t, i.Request(t, inprocess.Session{}, http.MethodPost, "/v1/auth/sign-in",
			map[string]string{"email": address, "password": "wrong horse battery"}))
		for _, name := range []string{"Date", "X-Request-Id", "Content-Length", "RateLimit"} {
			header.Del(name)
		}
		answers = append(answers, fmt.Sprint(status, header, string(body)))
	}
	if answers[0] != answers[1] {
		t.Errorf("a wrong password:\n%s\nan unknown address:\n%s", answers[0], answers[1])
	}
}

// S10: of many simultaneous sign-ins, each succeeds or is refused with Retry-After. Other requests
// are served at the same time.
func TestS10ManySignInsAtOnceDelayNobody(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	other := i.SignUp(t, "other@example.com")
	const many = 200
	answers, finished := make([]*http.Response, many), make(chan struct{})
	var group sync.WaitGroup
	for n := range many {
		group.Go(func() {
			body := strings.NewReader(`{"email":"` + inprocess.AdminEmail + `","password":"` + inprocess.AdminPassword + `"}`)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+"/v1/auth/sign-in", body)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if answers[n], err = inprocess.Client().Do(req); err != nil {
				t.Error(err)
			}
		})
	}
	go func() { group.Wait(); close(finished) }()
	for served := 0; ; served++ {
		for _, path := range servicePaths() {
			i.Get(t, other, path, &struct{}{})
		}
		select {
		case <-finished:
			checkSignIns(t, answers)
			return
		default:
		}
	}
}

func checkSignIns(t *testing.T, answers []*http.Response) {
	t.Helper()
	signedIn, refused := 0, 0
	for _, resp := range answers {
		if resp == nil {
			continue
		}
		status, body, header := readResponse(t, resp)
		switch {
		case status == http.StatusOK:
			signedIn++
		case (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && header.Get("Retry-After") != "":
			refused++
		default:
			t.Errorf("%d %s", status, body)
		}
	}
	if signedIn == 0 || refused == 0 {
		t.Errorf("%d signed in and %d were refused", signedIn, refused)
	}
}

// internalDetail matches details of the implementation, which no response may contain.
var internalDetail = regexp.MustCompile(`(?i)sqlstate|57P01|postgres|pgsql|select |\.go:|goroutine|/tmp/|127\.0\.0\.1`)

// S23: every service refuses the token of a revoked session, even after all connections to the
// database were cut, including those that listen for revocations.
func TestS23RevocationsArriveAfterCutConnections(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	for _, path := range servicePaths() {
		i.Get(t, s, path, &struct{}{})
	}
	var mine struct{ Sessions []struct{ ID string } }
	i.Get(t, s, "/v1/me/sessions", &mine)
	cut := query(t, i.Database, pgx.RowTo[bool], `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if len(cut) < 3 {
		t.Fatalf("only %d connections were cut", len(cut))
	}
	for _, path := range servicePaths() {
		// S58: a request that fails reveals nothing of the database.
		status, body, _ := readResponse(t, i.Request(t, s, http.MethodGet, path, nil))
		if status != http.StatusOK && status != http.StatusServiceUnavailable || internalDetail.Match(body) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	// The first attempts may fail with their connections.
	eventually(t, "the session to be ended", func() bool {
		status, _, _ := readResponse(t, i.Request(t, s, http.MethodDelete, "/v1/me/sessions/"+mine.Sessions[0].ID, nil))
		return status == http.StatusOK || status == http.StatusUnauthorized
	})
	for _, path := range servicePaths() {
		eventually(t, path+" to refuse the token", func() bool {
			status, _, _ := readResponse(t, i.Request(t, s, http.MethodGet, path, nil))
			return status == http.StatusUnauthorized
		})
	}
}

// eventually polls until a condition holds that no event reports.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker, deadline := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}
