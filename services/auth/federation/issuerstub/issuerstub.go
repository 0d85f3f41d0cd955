// Package issuerstub is an OpenID Connect issuer for tests. It does what a test
// configures, including what no honest issuer does.
//
// It enforces the rules by which the client's half of the exchange is tested: a code
// works once, for its client, with its redirect URI and its code verifier.
package issuerstub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keyID     = "key"
	discovery = "/.well-known/openid-configuration"
)

// The issuer's one client.
const (
	// ClientID is the client's id.
	ClientID = "gatehouse"
	// ClientSecret is the client's secret.
	ClientSecret = "the client's secret"
)

// Issuer is an issuer that serves its endpoints.
type Issuer struct {
	// URL is the address of the issuer, and its name.
	URL string
	// Metadata changes the issuer's metadata.
	Metadata func(map[string]any)
	// EditToken changes the header and the claims of an ID token.
	EditToken func(header, claims map[string]any)
	// ReplaceToken replaces an ID token.
	ReplaceToken func(token string) string
	// CheckSecret replaces the comparison with ClientSecret.
	CheckSecret func(presented string) bool
	// UserInfo is the response of userinfo. When it is nil, the response has only the
	// subject.
	UserInfo map[string]any
	// Broken makes the endpoint of the keys fail.
	Broken bool
	// Now is the issuer's clock.
	Now func() time.Time

	key      *ecdsa.PrivateKey
	mu       sync.Mutex
	grants   map[string]grant
	requests map[string]int
}

// grant is the request and the claims of a code.
type grant struct {
	request url.Values
	claims  map[string]any
}

// New returns an issuer. The caller must set its URL.
func New(now func() time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuerstub: %w", err)
	}
	return &Issuer{Now: now, key: key, grants: map[string]grant{}, requests: map[string]int{}}, nil
}

// Requests returns the number of requests to an endpoint.
func (i *Issuer) Requests(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

// Authorize acts as a user who opens an authorization URL and consents. It returns the
// code that the browser passes back.
func (i *Issuer) Authorize(authorizationURL string, claims map[string]any) (code string, err error) {
	u, err := url.Parse(authorizationURL)
	if err != nil {
		return "", fmt.Errorf("issuerstub: %w", err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" ||
		q.Get("state") == "" || q.Get("redirect_uri") == "" {
		return "", fmt.Errorf("issuerstub: the request is %v", q)
	}
	code = rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grants[code] = grant{request: q, claims: claims}
	return code, nil
}

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	i.mu.Unlock()
	path := r.URL.Path
	if strings.HasSuffix(path, discovery) { // the issuer may have a path
		path = discovery
	}
	switch path {
	case discovery:
		respond(w, i.metadata())
	case "/keys":
		if i.Broken {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		respond(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}}})
	case "/token":
		tokens, err := i.redeem(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			tokens = map[string]any{"error": "invalid_grant", "error_description": err.Error()}
		}
		respond(w, tokens)
	case "/userinfo":
		respond(w, i.UserInfo)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func respond(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
}

func (i *Issuer) metadata() map[string]any {
	out := map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/keys", "userinfo_endpoint": i.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256"},
	}
	if i.Metadata != nil {
		i.Metadata(out)
	}
	return out
}

func (i *Issuer) redeem(r *http.Request) (map[string]any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	g, found := i.grants[r.PostForm.Get("code")]
	delete(i.grants, r.PostForm.Get("code"))
	i.mu.Unlock()
	if !found {
		return nil, errors.New("no such code")
	}
	if !i.authenticates(r) {
		return nil, errors.New("another client")
	}
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(challenge[:]) != g.request.Get("code_challenge") {
		return nil, errors.New("another verifier")
	}
	if r.PostForm.Get("redirect_uri") != g.request.Get("redirect_uri") {
		return nil, errors.New("another redirect URI")
	}
	token, err := i.idToken(g)
	return map[string]any{"access_token": "the access token", "token_type": "Bearer", "id_token": token}, err
}

// authenticates reports whether a request has the client's secret in either of two
// places (RFC 6749 section 2.3.1).
func (i *Issuer) authenticates(r *http.Request) bool {
	client, secret, basic := r.BasicAuth()
	if basic {
		secret, _ = url.QueryUnescape(secret)
	} else {
		client, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if client != ClientID {
		return false
	}
	if i.CheckSecret != nil {
		return i.CheckSecret(secret)
	}
	return secret == ClientSecret
}

func (i *Issuer) idToken(g grant) (string, error) {
	now := i.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": ClientID, "nonce": g.request.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, value := range g.claims {
		claims[name] = value
	}
	header := map[string]any{"kid": keyID}
	if i.EditToken != nil {
		i.EditToken(header, claims)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	token, err := signed.CompactSerialize()
	if err == nil && i.ReplaceToken != nil {
		token = i.ReplaceToken(token)
	}
	return token, err
}
