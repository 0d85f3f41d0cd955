package identity

import (
	"crypto/ed25519"
	"fmt"
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
)

const (
	// Audience is the audience of every access token.
	Audience = "gatehouse"
	// FirstParty is the client id of tokens from our own sign-in.
	FirstParty = "gatehouse"
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
	// Permissions are those that custom roles give. Without any, the token says
	// nothing of them.
	Permissions []string
	IssuedAt    time.Time
	ExpiresAt   time.Time
	AuthTime    time.Time
	AMR         []string
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
	return sign(key, TypeAccess, claims)
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
