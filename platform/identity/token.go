package identity

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Types of the tokens, in their typ header. A token of one type is never
// accepted as another (RFC 8725 section 3.11).
const (
	// TypeAccess marks an access token (RFC 9068 section 2.1).
	TypeAccess = "at+jwt"
	// TypeService marks a token by which one service calls another.
	TypeService = "svc+jwt"
	// TypeID marks an ID token, which tells a client who signed in and opens
	// nothing (OpenID Connect Core 1.0 section 2).
	TypeID = "JWT"
)

const (
	// Audience is the audience of every access token.
	Audience = "gatehouse"
	// FirstParty is the client id of tokens from our own sign-in.
	FirstParty = "gatehouse"
	// APIKey is the client id of whoever comes with an API key.
	APIKey = "api-key"
)

// AccessClaims are the claims of an access token (RFC 9068 section 2.2, with
// org, sid, roles and permissions of our own).
type AccessClaims struct {
	Issuer         string
	Subject        string
	ID             string
	ClientID       string
	OrganizationID string
	SessionID      string
	Roles          []string
	IssuedAt       time.Time
	ExpiresAt      time.Time
	AuthTime       time.Time
	AMR            []string
	// Permissions are those that custom roles give. Without any, the token says
	// nothing of them.
	Permissions []string
	// Scopes are what a client other than FirstParty may do; at least one.
	Scopes []string
}

// SigningKey is a key that signs tokens.
type SigningKey struct {
	// ID is the key id that the token's header names.
	ID string
	// Private is the key.
	Private ed25519.PrivateKey
}

// SignAccess returns a signed access token.
func SignAccess(key SigningKey, c AccessClaims) (string, error) {
	roles := c.Roles
	if roles == nil {
		roles = []string{}
	}
	claims := jwt.MapClaims{
		"iss": c.Issuer, "sub": c.Subject, "aud": Audience, "jti": c.ID, "client_id": c.ClientID,
		"org": c.OrganizationID, "sid": c.SessionID, "roles": roles,
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(), "auth_time": c.AuthTime.Unix(), "amr": c.AMR,
	}
	if len(c.Permissions) > 0 {
		claims["permissions"] = c.Permissions
	}
	if c.ClientID != FirstParty {
		claims["scope"] = strings.Join(c.Scopes, " ")
	}
	return sign(key, TypeAccess, claims)
}

// IDClaims are the claims of an ID token.
type IDClaims struct {
	Issuer  string
	Subject string
	// ClientID is whom the token is for.
	ClientID  string
	SessionID string
	// Nonce is the client's own, or empty.
	Nonce     string
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
	AMR       []string
	// AccessToken is the one that the ID token comes beside.
	AccessToken string
	// Profile holds the claims about the user that its scopes allow.
	Profile map[string]any
}

// SignID returns a signed ID token.
func SignID(key SigningKey, c IDClaims) (string, error) {
	claims := jwt.MapClaims{
		"iss": c.Issuer, "sub": c.Subject, "aud": c.ClientID, "sid": c.SessionID,
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(), "auth_time": c.AuthTime.Unix(), "amr": c.AMR,
		// Ed25519 hashes with SHA-512, and so does at_hash beside it.
		"at_hash": halfHash(c.AccessToken),
	}
	if c.Nonce != "" {
		claims["nonce"] = c.Nonce
	}
	for name, value := range c.Profile {
		claims[name] = value
	}
	return sign(key, TypeID, claims)
}

// halfHash is the left half of a token's hash (OpenID Connect Core 1.0 section
// 3.1.3.6).
func halfHash(token string) string {
	sum := sha512.Sum512([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// ServiceClaims are the claims of a service token.
type ServiceClaims struct {
	Issuer    string
	Service   string
	Audience  string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// SignService returns a signed service token.
func SignService(key SigningKey, c ServiceClaims) (string, error) {
	return sign(key, TypeService, jwt.MapClaims{
		"iss": c.Issuer, "sub": c.Service, "aud": c.Audience,
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(),
	})
}

func sign(key SigningKey, typ string, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["typ"] = typ
	token.Header["kid"] = key.ID
	signed, err := token.SignedString(key.Private)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return signed, nil
}
