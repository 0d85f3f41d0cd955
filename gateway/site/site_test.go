package site

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// newSite returns a site without an auth service, and a function that returns the last
// fault of the site.
func newSite(t *testing.T) (*Site, func() *fault.Fault) {
	t.Helper()
	var last *fault.Fault
	s, err := New(t.Context(), Deps{
		PublicURL: "https://gatehouse.example.com", Version: "v1",
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			last = fault.From(err)
			w.WriteHeader(statusOf(last))
		},
		Record: func(_ *http.Request, f *fault.Fault) { last = f },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() *fault.Fault { return last }
}

func request(ctx context.Context, method, path, body string) *http.Request {
	return httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
}

func TestSite_EveryPath_ChecksItsMethods(t *testing.T) {
	t.Parallel()
	s, last := newSite(t)
	endpoints, err := s.endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range endpoints {
		if strings.Contains(e.path, "{") {
			continue
		}
		if seen[e.path] {
			t.Errorf("%s is in the table twice", e.path)
		}
		seen[e.path] = true
		handler, found := s.Lookup(e.path)
		if !found {
			t.Errorf("%s is not found", e.path)
			continue
		}
		allowed := strings.Join(e.methods, ", ")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request(t.Context(), http.MethodOptions, e.path, ""))
		if w.Code != http.StatusNoContent || w.Header().Get("Allow") != allowed {
			t.Errorf("OPTIONS %s: %d, Allow %q", e.path, w.Code, w.Header().Get("Allow"))
		}
		w = httptest.NewRecorder()
		handler.ServeHTTP(w, request(t.Context(), http.MethodDelete, e.path, ""))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allowed || last().Reason() != faultv1.Reason_REASON_METHOD_NOT_ALLOWED {
			t.Errorf("DELETE %s: %d, Allow %q", e.path, w.Code, w.Header().Get("Allow"))
		}
	}
	if _, found := s.Lookup("/v1/me"); found {
		t.Error("a path of the API is found")
	}
}

func TestSite_Patterns_HaveTheProvider(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t)
	var got []string
	for _, p := range s.Patterns() {
		got = append(got, p.Method+" "+p.Path)
	}
	want := "GET /v1/auth/providers/{provider}/start, GET /v1/auth/providers/{provider}/callback, POST /v1/auth/providers/{provider}/callback"
	if strings.Join(got, ", ") != want {
		t.Errorf("patterns %v", got)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a/b?c=d#e": "/a/b?c=d#e", "/": "/", "": "/", "a": "/", "//evil.example": "/", `/\evil.example`: "/",
		"https://evil.example": "/", "/\tevil": "/", "/a b": "/", "/\x7f": "/",
	} {
		if got := localPath(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// The path that localPath returns is always on this origin.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "//a", `/\a`, "/\t/a", "javascript:alert(1)", "/%5c/a", "/a?b=//c"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "gatehouse.example.com", Path: "/x"}
	f.Fuzz(func(t *testing.T, path string) {
		to, err := base.Parse(localPath(path))
		if err == nil && (to.Host != base.Host || to.Scheme != base.Scheme) {
			t.Errorf("%q leads to %s", path, to)
		}
	})
}

func TestParseValues_InvalidInput_IsRefused(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"too many values": strings.Repeat("a=b&", 200), "not UTF-8": "a=%ff", "a name that is not UTF-8": "%ff=a", "bad escape": "a=%zz",
	} {
		if values, err := parseValues(raw); err == nil {
			t.Errorf("%s: %v", name, values)
		}
	}
	values, err := parseValues("a=b&a=c")
	if err != nil || len(values["a"]) != 2 {
		t.Fatalf("%v, %v", values, err)
	}
	if p, err := single(values); err == nil {
		t.Errorf("a repeated parameter is accepted: %v", p)
	}
}

func TestSignedIn_RemovesThePromptToSignIn(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"client_id=c&prompt=login":         "/oauth2/authorize?client_id=c",
		"client_id=c&prompt=login+consent": "/oauth2/authorize?client_id=c&prompt=consent",
		"prompt=select_account&max_age=0":  "/oauth2/authorize?",
		"max_age=60":                       "/oauth2/authorize?max_age=60",
		"a=%zz":                            "/oauth2/authorize",
	} {
		if got := signedIn(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestBasicClient(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]*authv1.ClientCredentials{
		"Basic YTpi":         {ClientId: "a", ClientSecret: "b"},
		"basic YTpi":         {ClientId: "a", ClientSecret: "b"},
		"Basic YSUzQTpiJTIw": {ClientId: "a:", ClientSecret: "b "}, // each part is encoded as in a form
		"Bearer YTpi":        nil,
		"Basic YQ==":         nil, // no colon
		"Basic !":            nil,
		"Basic YSV6ejpi":     nil, // an invalid escape
		"":                   nil,
	} {
		got, ok := basicClient(header)
		if ok != (want != nil) || got.GetClientId() != want.GetClientId() || got.GetClientSecret() != want.GetClientSecret() {
			t.Errorf("%q: %v, %v", header, got, ok)
		}
	}
}

func TestOAuthError(t *testing.T) {
	t.Parallel()
	for reason, want := range map[faultv1.Reason]string{
		faultv1.Reason_REASON_OAUTH_INVALID_CLIENT: "invalid_client", faultv1.Reason_REASON_OAUTH_INVALID_GRANT: "invalid_grant",
		faultv1.Reason_REASON_RATE_LIMITED: "temporarily_unavailable", faultv1.Reason_REASON_UNAVAILABLE: "temporarily_unavailable",
		faultv1.Reason_REASON_INTERNAL: "server_error", faultv1.Reason_REASON_INVALID_ARGUMENT: "invalid_request",
	} {
		if got := oauthError(reason, fault.SpecOf(reason).HTTPStatus); got != want {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
	if got := ascii("a \"b\" \\ é\n"); got != "a 'b' ' ''" {
		t.Errorf("%q", got)
	}
}
