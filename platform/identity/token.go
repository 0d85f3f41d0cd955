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
	// TypeService marks a token with which one service calls another.
	TypeService = "svc+jwt"
	// TypeID marks an ID token, which identifies the signed-in user to a client and
	// gives no access (OpenID Connect Core 1.0 section 2).
	TypeID = "JWT"
)

const (
	// Audience is the audience of every access token.
	Audience = "gatehouse"
	// FirstParty is the client id of tokens from Gatehouse's own sign-in.
	FirstParty = "gatehouse"
	// APIKey is the client id of a caller with an API key.
	APIKey = "api-key"
)

// AccessClaims are the claims of an access token (RFC 9068 section 2.2, with the
// additional claims org, sid, roles and permissions).
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
	// Permissions are the permissions of custom roles. When there are none, the token
	// does not contain the claim.
	Permissions []string
	// Scopes are the scopes of a client other than FirstParty, which needs at least one.
	Scopes []string
}

// SigningKey is a key that signs tokens.
type SigningKey struct {
	// ID is the key id in the header of tokens.
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
	// ClientID is the client that receives the token.
	ClientID  string
	SessionID string
	// Nonce is the nonce of the client, or empty.
	Nonce     string
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
	AMR       []string
	// AccessToken is the access token that is issued together with the ID token.
	AccessToken string
	// Profile contains the claims about the user that the scopes allow.
	Profile map[string]any
}

// SignID returns a signed ID token.
func SignID(key SigningKey, c IDClaims) (string, error) {
	claims := jwt.MapClaims{
		"iss": c.Issuer, "sub": c.Subject, "aud": c.ClientID, "sid": c.SessionID,
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(), "auth_time": c.AuthTime.Unix(), "amr": c.AMR,
		// Ed25519 uses SHA-512, so at_hash uses it too.
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

// halfHash returns the left half of a token's hash (OpenID Connect Core 1.0 section
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
