// Package relying is an OAuth client with the browser of its user, for tests. It registers clients,
// and uses the pages of the OAuth provider by their forms, as a browser without scripts does.
package relying

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// RedirectURI is the redirect URI of the clients.
const RedirectURI = "https://app.example/callback"

// Client is a registered client. A public client has no secret.
type Client struct{ ID, Secret string }

// Register registers a client. The fields override those of a confidential client.
func Register(t *testing.T, i *inprocess.Installation, s inprocess.Session, fields map[string]any) Client {
	t.Helper()
	body := map[string]any{
		"displayName": "Reader", "redirectUris": []string{RedirectURI}, "confidential": true,
		"scopes": []string{"openid", "profile", "email", "chat.read"},
	}
	for name, value := range fields {
		body[name] = value
	}
	var created struct {
		OauthClient struct{ ID string }
		Secret      string
	}
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/oauth-clients", body), &created)
	return Client{ID: created.OauthClient.ID, Secret: created.Secret}
}

// Browser keeps cookies and does not follow redirects.
type Browser struct {
	url    string
	client *http.Client
}

// NewBrowser returns a browser without cookies.
func NewBrowser(t *testing.T, i *inprocess.Installation) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &Browser{url: i.URL, client: &http.Client{Jar: jar, Transport: inprocess.Patient(nil), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Page is a response to a browser: a page or a redirect.
type Page struct {
	Status   int
	Location string
	Body     string
	Header   http.Header
	// Request is the URL of the request.
	Request string
}

func (b *Browser) do(t *testing.T, req *http.Request) Page {
	t.Helper()
	resp, err := b.client.Do(req)
	must(t, err)
	defer resp.Body.Close() //nolint:errcheck // the body was read
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return Page{resp.StatusCode, resp.Header.Get("Location"), string(raw), resp.Header, req.URL.String()}
}

// Get requests a page. It does not follow redirects.
func (b *Browser) Get(t *testing.T, target string) Page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.absolute(target), nil)
	must(t, err)
	return b.do(t, req)
}

func (b *Browser) absolute(target string) string {
	if strings.HasPrefix(target, "/") {
		return b.url + target
	}
	return target
}

// Post sends a form as a page of Gatehouse does.
func (b *Browser) Post(t *testing.T, target string, values url.Values) Page {
	t.Helper()
	return b.PostFrom(t, b.url, target, values)
}

// PostFrom sends a form as a page of another origin does.
func (b *Browser) PostFrom(t *testing.T, origin, target string, values url.Values) Page {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.absolute(target), strings.NewReader(values.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	return b.do(t, req)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// Form returns the hidden fields of a page.
func (p Page) Form() url.Values {
	values := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(p.Body, -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	return values
}

// PKCE returns a new verifier and its challenge.
func PKCE() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

// AuthorizeURL returns the URL of a valid authorization request. Pairs of names and values override
// its parameters; an empty value removes one.
func AuthorizeURL(i *inprocess.Installation, c Client, challenge string, pairs ...string) string {
	values := url.Values{
		"client_id": {c.ID}, "redirect_uri": {RedirectURI}, "response_type": {"code"}, "scope": {"openid email chat.read"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for n := 0; n < len(pairs); n += 2 {
		if values.Set(pairs[n], pairs[n+1]); pairs[n+1] == "" {
			values.Del(pairs[n])
		}
	}
	return i.URL + "/oauth2/authorize?" + values.Encode()
}

// SignIn submits the sign-in page and returns the next page.
func (b *Browser) SignIn(t *testing.T, shown Page, s inprocess.Session) Page {
	t.Helper()
	values := shown.Form()
	values.Set("email", s.Email)
	values.Set("password", s.Password)
	after := b.Post(t, "/oauth2/sign-in", values)
	if after.Status != http.StatusSeeOther {
		t.Fatalf("signing in: %d %s", after.Status, after.Body)
	}
	return b.Get(t, after.Location)
}

// Agree allows access on the consent page and returns the target of the redirect.
func (b *Browser) Agree(t *testing.T, shown Page) *url.URL {
	t.Helper()
	values := shown.Form()
	if values.Get("ticket") == "" {
		t.Fatalf("no consent page: %d %s", shown.Status, shown.Body)
	}
	values.Set("decision", "allow")
	return Sent(t, b.Post(t, "/oauth2/consent", values))
}

// Sent returns the target of a redirect.
func Sent(t *testing.T, p Page) *url.URL {
	t.Helper()
	if p.Status != http.StatusSeeOther {
		t.Fatalf("%s: %d %s", p.Request, p.Status, p.Body)
	}
	u, err := url.Parse(p.Location)
	must(t, err)
	return u
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
