package site

import (
	"net/http"
	"net/http/httptest"
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// with returns a request with the cookies of a response.
func with(t *testing.T, w *httptest.ResponseRecorder) *http.Request {
	t.Helper()
	r := request(t.Context(), http.MethodGet, "/", "")
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge >= 0 {
			r.AddCookie(cookie)
		}
	}
	return r
}

func TestCookies_Session_RoundTrips(t *testing.T) {
	t.Parallel()
	c := NewCookies("https://gatehouse.example.com")
	w := httptest.NewRecorder()
	c.SetSession(w, "the-token", 7)
	r := with(t, w)
	if token, generation := RefreshToken(r), Generation(r); token != "the-token" || generation != 8 {
		t.Errorf("token %q, generation %d", token, generation)
	}
	for _, cookie := range w.Result().Cookies() {
		if !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.HttpOnly != (cookie.Name == refreshCookie) {
			t.Errorf("the cookie %s", cookie)
		}
	}
	w = httptest.NewRecorder()
	c.DeleteSession(w)
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge >= 0 || cookie.Value != "" {
			t.Errorf("the cookie %s", cookie)
		}
	}
}

func TestCookies_TwoOfOneName_AreIgnored(t *testing.T) {
	t.Parallel()
	r := request(t.Context(), http.MethodGet, "/", "")
	r.Header.Set("Cookie", "gh_refresh=a; gh_refresh=b; gh_gen=none")
	if token, generation := RefreshToken(r), Generation(r); token != "" || generation != 0 {
		t.Errorf("token %q, generation %d", token, generation)
	}
}

func TestCookies_Attempt_RoundTrips(t *testing.T) {
	t.Parallel()
	c := NewCookies("http://127.0.0.1:8080")
	started := &authv1.ProviderAttempt{Secret: "the-secret", ReturnTo: "/a?b=c; d"}
	w := httptest.NewRecorder()
	c.SetAttempt(w, ToLink, started)
	got, found := attemptOf(with(t, w))
	if !found || got != (attempt{purpose: ToLink, secret: "the-secret", returnTo: "/a?b=c; d"}) {
		t.Errorf("%+v, %v", got, found)
	}
	if started.GetSecret() != "" {
		t.Error("the secret is still in the response")
	}
	for _, value := range []string{"", "a", "a.b.c", "sign-in.b", "sign-in.b.!", "link.a.b.c"} {
		r := request(t.Context(), http.MethodGet, "/", "")
		r.Header.Set("Cookie", attemptCookie+"="+value)
		if got, found := attemptOf(r); found {
			t.Errorf("%q: %+v", value, got)
		}
	}
}
