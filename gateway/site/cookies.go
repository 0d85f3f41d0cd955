package site

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// A page in a browser keeps its session in a cookie that no script can read. A script
// that was injected into the page could steal a refresh token, but not the cookie.
// Only the routes that create, refresh and end sessions use the cookie, so a foreign
// page can make no other request with it.
const (
	// AuthPath is the path below which browsers send the refresh cookie.
	AuthPath = "/v1/auth"

	// refreshCookie holds the refresh token.
	refreshCookie = "gh_refresh"
	// generationCookie counts the refresh tokens. Pages may read it. A page that finds
	// a higher number waits for the new token instead of sending the old one, which
	// would end the session.
	generationCookie = "gh_gen"
	// sessionLife is the life of a session without a new sign-in.
	sessionLife = 30 * 24 * time.Hour

	// attemptCookie holds the secret of a sign-in at an identity provider. A browser
	// must send it when the provider's page sends the browser here, which it must not
	// do with the cookies of a session.
	attemptCookie = "gh_attempt"
	attemptLife   = 10 * time.Minute
	providersPath = AuthPath + "/providers"

	// loginCookie holds the login of a user at the pages of the OAuth provider.
	// Browsers send it when the page of a client sends them to these pages, and to no
	// other path.
	loginCookie = "gh_oauth"
	loginPath   = "/oauth2"
)

// Purpose is the purpose of a sign-in at an identity provider.
type Purpose string

// The purposes.
const (
	// ToSignIn signs the user in.
	ToSignIn Purpose = "sign-in"
	// ToLink links the identity to the account of a user who is signed in.
	ToLink Purpose = "link"
)

// Cookies sets and deletes the cookies of browsers.
type Cookies struct{ secure bool }

// NewCookies returns the cookies of a gateway with a public URL. Over https, browsers
// send them only over https.
func NewCookies(publicURL string) Cookies {
	return Cookies{secure: strings.HasPrefix(publicURL, "https://")}
}

// SetSession stores the refresh token of a session. The generation is that of the
// request ([Generation]), which it replaces by the next one.
func (c Cookies) SetSession(w http.ResponseWriter, refreshToken string, generation uint64) {
	http.SetCookie(w, c.cookie(refreshCookie, refreshToken, AuthPath, sessionLife))
	http.SetCookie(w, c.cookie(generationCookie, strconv.FormatUint(generation+1, 10), "/", sessionLife))
}

// DeleteSession deletes the cookies of a session.
func (c Cookies) DeleteSession(w http.ResponseWriter) {
	http.SetCookie(w, c.cookie(refreshCookie, "", AuthPath, -1))
	http.SetCookie(w, c.cookie(generationCookie, "", "/", -1))
}

// RefreshToken returns the refresh token in a browser's cookie, or "".
func RefreshToken(r *http.Request) string { return cookieValue(r, refreshCookie) }

// Generation returns the number of the browser's refresh token, and 0 when it has
// none.
func Generation(r *http.Request) uint64 {
	cookie, err := r.Cookie(generationCookie)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(cookie.Value, 10, 32)
	if err != nil {
		return 0 // a script changed it; the next number only has to differ
	}
	return n
}

// SetAttempt moves the secret of an attempt to sign in from a response into a cookie.
func (c Cookies) SetAttempt(w http.ResponseWriter, purpose Purpose, started *authv1.ProviderAttempt) {
	value := attempt{purpose: purpose, secret: started.GetSecret(), returnTo: started.GetReturnTo()}.encode()
	http.SetCookie(w, c.attempt(value, attemptLife))
	started.Secret = ""
}

func (c Cookies) deleteAttempt(w http.ResponseWriter) { http.SetCookie(w, c.attempt("", -1)) }

func (c Cookies) attempt(value string, life time.Duration) *http.Cookie {
	cookie := c.cookie(attemptCookie, value, providersPath, life) //nolint:gosec // plain HTTP is for a developer's machine only
	cookie.SameSite, cookie.HttpOnly = http.SameSiteLaxMode, true
	return cookie
}

// setLogin stores a login at the OAuth provider. A negative life deletes it.
func (c Cookies) setLogin(w http.ResponseWriter, value string, life time.Duration) {
	cookie := c.cookie(loginCookie, value, loginPath, life) //nolint:gosec // plain HTTP is for a developer's machine only
	// Lax, because the page of a client, which is another site, sends the browser here.
	cookie.HttpOnly, cookie.SameSite = true, http.SameSiteLaxMode
	http.SetCookie(w, cookie)
}

// cookie returns a cookie of a session. A negative life deletes it.
func (c Cookies) cookie(name, value, path string, life time.Duration) *http.Cookie {
	cookie := &http.Cookie{ //nolint:gosec // plain HTTP is for a developer's machine only, and pages read the generation
		Name: name, Value: value, Path: path, MaxAge: int(life.Seconds()), SameSite: http.SameSiteStrictMode,
		Secure: c.secure, HttpOnly: name == refreshCookie,
	}
	if life < 0 {
		cookie.MaxAge = -1
	}
	return cookie
}

// cookieValue returns the only cookie of a name, and "" when there are two: another
// host of the domain set one of them, so neither can be trusted.
func cookieValue(r *http.Request, name string) string {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// attempt is what a browser keeps of a sign-in at an identity provider.
type attempt struct {
	purpose  Purpose
	secret   string
	returnTo string
}

// encode returns the attempt in characters that a cookie may have.
func (a attempt) encode() string {
	return strings.Join([]string{string(a.purpose), a.secret, base64.RawURLEncoding.EncodeToString([]byte(a.returnTo))}, ".")
}

// attemptOf returns the attempt in a browser's cookie, or false when it has none.
func attemptOf(r *http.Request) (attempt, bool) {
	parts := strings.Split(cookieValue(r, attemptCookie), ".")
	if len(parts) != 3 || (parts[0] != string(ToSignIn) && parts[0] != string(ToLink)) {
		return attempt{}, false
	}
	returnTo, err := base64.RawURLEncoding.DecodeString(parts[2])
	return attempt{purpose: Purpose(parts[0]), secret: parts[1], returnTo: string(returnTo)}, err == nil
}
