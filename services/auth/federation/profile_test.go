package federation

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestSanitized_ProfileAtItsBounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		subject  string
		accepted bool
	}{
		{"no subject", "", false},
		{"255 bytes", strings.Repeat("s", 255), true},
		{"256 bytes", strings.Repeat("s", 256), false},
		{"a control character", "a\x00", false},
		{"invalid UTF-8", "a\xff", false},
		{"letters of any language", "日本", true},
	} {
		if _, err := (identityProfile{subject: tc.subject}).sanitized(); (err == nil) != tc.accepted {
			t.Errorf("%s: %v, want accepted %t", tc.name, err, tc.accepted)
		}
	}
	for address, kept := range map[string]bool{
		"ada@example.org": true, strings.Repeat("a", 242) + "@example.org": true, strings.Repeat("a", 243) + "@example.org": false,
		"Ada <ada@example.org>": false, "ada": false, "ada@example.org, eve@evil.test": false, "ada@example.org\r\nBcc: x": false, "": false,
	} {
		p, err := identityProfile{subject: "s", email: address, verified: true}.sanitized()
		if err != nil || (p.email == address && p.verified) != kept || !kept && (p.email != "" || p.verified) {
			t.Errorf("%q became %q, verified %t, %v", address, p.email, p.verified, err)
		}
	}
	p, err := identityProfile{subject: "s", name: " Ada\n\u202e Lovelace\xff " + strings.Repeat("é", 200)}.sanitized()
	if err != nil || !strings.HasPrefix(p.name, "Ada Lovelace é") || utf8.RuneCountInString(p.name) != maxName {
		t.Errorf("the name became %q, %v", p.name, err)
	}
}

// A provider can assert anything. What is left can be stored and displayed.
func FuzzSanitized(f *testing.F) {
	f.Add("1", "ada@example.org", "Ada", true)
	f.Add("\x00", "Ada <ada@example.org>", "\u202eadA\n", true)
	f.Add("\xff", "\"a b\"@example.org", "\xff\xfe", false)
	f.Fuzz(func(t *testing.T, subject, email, name string, verified bool) {
		p, err := identityProfile{subject: subject, email: email, name: name, verified: verified}.sanitized()
		if err != nil {
			return
		}
		if p.subject != subject || subject == "" || len(subject) > maxSubject || !utf8.ValidString(subject) || strings.ContainsRune(subject, 0) {
			t.Fatalf("the subject %q was accepted", subject)
		}
		if a, err := mail.ParseAddress(p.email); p.email != "" && (err != nil || a.Address != email || len(email) > maxEmail) {
			t.Fatalf("the address %q became %q", email, p.email)
		}
		if p.email == "" && p.verified || p.verified && !verified {
			t.Fatalf("%q became verified", email)
		}
		if utf8.RuneCountInString(p.name) > maxName || !utf8.ValidString(p.name) || strings.ContainsFunc(p.name, unicode.IsControl) {
			t.Fatalf("the name %q became %q", name, p.name)
		}
	})
}

func TestFlexibleBool_OnlyTrueAndOne_AreTrue(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`true`: true, `"true"`: true, `1`: true, `"1"`: true,
		`false`: false, `"false"`: false, `0`: false, `"0"`: false, `null`: false, `""`: false, `"True"`: false, `"yes"`: false, `2`: false, `{}`: false, `[true]`: false,
	} {
		got := claims{EmailVerified: true}
		if err := json.Unmarshal([]byte(`{"email_verified":`+raw+`}`), &got); err != nil || bool(got.EmailVerified) != want {
			t.Errorf("%s: %t, %v, want %t", raw, got.EmailVerified, err, want)
		}
	}
}

// gitHub serves two responses of an API.
func gitHub(t *testing.T, user, addresses string) *connection {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := user
		if r.URL.Path == "/user/emails" {
			body = addresses
		}
		_, _ = w.Write([]byte(body)) // the client may have ended the request
	}))
	t.Cleanup(server.Close)
	return &connection{provider: Provider{Kind: GitHub, API: server.URL}, client: server.Client(), issuer: "https://github.example"}
}

func TestFetchGitHubProfile_EachResponse(t *testing.T) {
	t.Parallel()
	const accepted = faultv1.Reason_REASON_UNSPECIFIED
	const unavailable = faultv1.Reason_REASON_IDENTITY_PROVIDER_UNAVAILABLE
	const refused = faultv1.Reason_REASON_PROVIDER_SIGN_IN_REFUSED
	for _, tc := range []struct {
		name, user, addresses string
		want                  identityProfile
		reason                faultv1.Reason
	}{
		{"a user", `{"id":7,"login":"ada","name":"Ada"}`, `[{"email":"a@b.c","primary":true,"verified":true}]`,
			identityProfile{"https://github.example", "7", "a@b.c", true, "Ada"}, accepted},
		{"without a name", `{"id":7,"login":"ada","name":null}`, `[]`, identityProfile{"https://github.example", "7", "", false, "ada"}, accepted},
		{"a verified address that is not the primary one", `{"id":7,"login":"ada"}`,
			`[{"email":"x@b.c","verified":true},{"email":"a@b.c","primary":true}]`, identityProfile{"https://github.example", "7", "a@b.c", false, "ada"}, accepted},
		{"no id", `{"login":"ada"}`, `[]`, identityProfile{}, refused},
		{"a negative id", `{"id":-1}`, `[]`, identityProfile{}, refused},
		{"an id that is text", `{"id":"7"}`, `[]`, identityProfile{}, unavailable},
		{"an id that is too great", `{"id":9223372036854775808}`, `[]`, identityProfile{}, unavailable},
		{"addresses that are no list", `{"id":7}`, `{}`, identityProfile{}, unavailable},
		{"no JSON", `<html>`, `[]`, identityProfile{}, unavailable},
		{"nothing", ``, ``, identityProfile{}, unavailable},
	} {
		got, err := gitHub(t, tc.user, tc.addresses).fetchGitHubProfile(t.Context(), &oauth2.Token{AccessToken: "x"})
		if fault.ReasonOf(err) != tc.reason || got != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
	}
}

// answers is a transport that returns one body for every request.
type answers string

// RoundTrip implements [http.RoundTripper].
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(string(a)) // never fails
	out := w.Result()
	out.Request = r
	return out, nil
}

// Whatever GitHub's API returns: a profile has the number of a user, or there is none.
func FuzzFetchGitHubProfile(f *testing.F) {
	for _, seed := range []string{`{"id":7}`, `[]`, `{"id":7} []`, `null`, ``, `{"id":1e3}`, `{"ID":7}`, `[{"email":"a@b.c","primary":true}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := connection{provider: Provider{Kind: GitHub, API: "https://api.github.example"}, client: &http.Client{Transport: answers(body)}}
		got, err := c.fetchGitHubProfile(t.Context(), &oauth2.Token{AccessToken: "x"})
		if err != nil {
			if got != (identityProfile{}) {
				t.Fatalf("%q made %+v, %v", body, got, err)
			}
			return
		}
		if n, err := strconv.ParseInt(got.subject, 10, 64); err != nil || n <= 0 {
			t.Fatalf("%q made the subject %q", body, got.subject)
		}
	})
}

func FuzzClaims(f *testing.F) {
	for _, seed := range []string{`{}`, `{"email_verified":"true"}`, `{"email_verified":tru}`, `{"xms_edov":1}`, `[]`, `{"sub":7}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got claims
		if json.Unmarshal(raw, &got) != nil {
			return
		}
		if bool(got.EmailVerified) && !strings.Contains(string(raw), "true") && !strings.Contains(string(raw), "1") && !strings.Contains(string(raw), `\u`) {
			t.Fatalf("%s made the address verified", raw)
		}
	})
}
