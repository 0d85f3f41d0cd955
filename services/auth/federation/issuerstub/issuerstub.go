// Package issuerstub is an OpenID Connect issuer for tests: one that does as it is
// told, also what no honest one does.
//
// It keeps the rules that a client's half of the exchange is tried by: a code works
// once, for its client, with its redirect URI and its code verifier.
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

// What the issuer's client is.
const (
	// ClientID is the client's id.
	ClientID = "gatehouse"
	// ClientSecret is its secret.
	ClientSecret = "the client's secret"
)

// Issuer is an issuer; it serves its endpoints.
type Issuer struct {
	// URL is where it is served, and what it calls itself.
	URL string
	// Metadata changes what it says of itself.
	Metadata func(map[string]any)
	// Spoil changes what an ID token says, its header and its claims.
	Spoil func(header, claims map[string]any)
	// Forge replaces an ID token.
	Forge func(token string) string
	// Secret judges what the client proves itself with, where it is not ClientSecret.
	Secret func(presented string) bool
	// UserInfo is what userinfo says; of the subject alone when nil.
	UserInfo map[string]any
	// Broken says that it has lost its keys.
	Broken bool
	// Now is its time.
	Now func() time.Time

	key    *ecdsa.PrivateKey
	mu     sync.Mutex
	grants map[string]grant
	asked  map[string]int
}

// grant is what a code stands for.
type grant struct {
	asked  url.Values
	claims map[string]any
}

// New returns an issuer; its URL is to be set.
func New(now func() time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuerstub: %w", err)
	}
	return &Issuer{Now: now, key: key, grants: map[string]grant{}, asked: map[string]int{}}, nil
}

// Asked tells how often an endpoint was asked.
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// Authorize is a user who goes where an authorization URL leads, and agrees there;
// it returns the code that the browser comes back with.
func (i *Issuer) Authorize(authorizationURL string, claims map[string]any) (code string, err error) {
	u, err := url.Parse(authorizationURL)
	if err != nil {
		return "", fmt.Errorf("issuerstub: %w", err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" ||
		q.Get("state") == "" || q.Get("redirect_uri") == "" {
		return "", fmt.Errorf("issuerstub: asked for %v", q)
	}
	code = rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grants[code] = grant{asked: q, claims: claims}
	return code, nil
}

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked[r.URL.Path]++
	i.mu.Unlock()
	path := r.URL.Path
	if strings.HasSuffix(path, discovery) { // also below a path
		path = discovery
	}
	switch path {
	case discovery:
		answer(w, i.metadata())
	case "/keys":
		if i.Broken {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}}})
	case "/token":
		tokens, err := i.redeem(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			tokens = map[string]any{"error": "invalid_grant", "error_description": err.Error()}
		}
		answer(w, tokens)
	case "/userinfo":
		answer(w, i.UserInfo)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that goes away is its own business
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
		return nil, err //nolint:wrapcheck // told as it is
	}
	i.mu.Lock()
	g, found := i.grants[r.PostForm.Get("code")]
	delete(i.grants, r.PostForm.Get("code"))
	i.mu.Unlock()
	if !found {
		return nil, errors.New("no such code")
	}
	if !i.proves(r) {
		return nil, errors.New("another client")
	}
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(challenge[:]) != g.asked.Get("code_challenge") {
		return nil, errors.New("another verifier")
	}
	if r.PostForm.Get("redirect_uri") != g.asked.Get("redirect_uri") {
		return nil, errors.New("another redirect URI")
	}
	token, err := i.idToken(g)
	return map[string]any{"access_token": "the access token", "token_type": "Bearer", "id_token": token}, err
}

// proves tells whether a request is the client's, which writes its secret in either of
// two places (RFC 6749 section 2.3.1).
func (i *Issuer) proves(r *http.Request) bool {
	client, secret, basic := r.BasicAuth()
	if basic {
		secret, _ = url.QueryUnescape(secret)
	} else {
		client, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if client != ClientID {
		return false
	}
	if i.Secret != nil {
		return i.Secret(secret)
	}
	return secret == ClientSecret
}

func (i *Issuer) idToken(g grant) (string, error) {
	now := i.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": ClientID, "nonce": g.asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, value := range g.claims {
		claims[name] = value
	}
	header := map[string]any{"kid": keyID}
	if i.Spoil != nil {
		i.Spoil(header, claims)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, options)
	if err != nil {
		return "", err //nolint:wrapcheck // told as it is
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err //nolint:wrapcheck // told as it is
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err //nolint:wrapcheck // told as it is
	}
	token, err := signed.CompactSerialize()
	if err == nil && i.Forge != nil {
		token = i.Forge(token)
	}
	return token, err //nolint:wrapcheck // told as it is
}
