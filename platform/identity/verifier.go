package identity

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// leeway is the clock difference between services that verification accepts.
const leeway = 30 * time.Second

// KeySource returns the public keys that verify tokens.
type KeySource interface {
	// Key returns the key of an id, or false when no such key is published. It returns
	// an error when it cannot find out.
	Key(ctx context.Context, kid string) (ed25519.PublicKey, bool, error)
}

// VerifierConfig defines which tokens a service accepts.
type VerifierConfig struct {
	// Issuer is the issuer of every token: the public URL.
	Issuer string
	// Service is the name of the service that verifies: the audience of
	// service tokens.
	Service string
}

// Verifier verifies tokens offline. It is safe for concurrent use.
type Verifier struct {
	keys       KeySource
	access     *jwt.Parser
	service    *jwt.Parser
	id         *jwt.Parser
	issuer     string
	principals *verified[*Principal]
	services   *verified[*Service]
}

// NewVerifier returns a verifier. An empty issuer or service is an error, because the
// JWT library would not check an empty value.
func NewVerifier(cfg VerifierConfig, keys KeySource, clk clock.Clock) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Service == "" || keys == nil || clk == nil {
		return nil, errors.New("identity: issuer, service, keys and clock are required")
	}
	parser := func(audience string) *jwt.Parser {
		return jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithIssuer(cfg.Issuer),
			jwt.WithAudience(audience),
			jwt.WithLeeway(leeway),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(clk.Now),
		)
	}
	return &Verifier{
		keys:    keys,
		access:  parser(Audience),
		service: parser(cfg.Service),
		id: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
			jwt.WithoutClaimsValidation()),
		issuer:     cfg.Issuer,
		principals: newVerified[*Principal](clk),
		services:   newVerified[*Service](clk),
	}, nil
}

// Access verifies an access token. It returns the same UNAUTHENTICATED for every defect of
// the token, and UNAVAILABLE when the key source fails.
func (v *Verifier) Access(ctx context.Context, token string) (*Principal, error) {
	if p, ok := v.principals.get(token); ok {
		return p, nil
	}
	claims, err := v.verify(ctx, v.access, token, TypeAccess)
	if err != nil {
		return nil, err
	}
	p := &Principal{Token: token}
	var authTime, issued float64
	var tokenID string
	ok := text(claims, "sub", &p.UserID) && text(claims, "org", &p.OrganizationID) &&
		text(claims, "sid", &p.SessionID) && text(claims, "client_id", &p.ClientID) &&
		texts(claims, "roles", &p.Roles) && number(claims, "auth_time", &authTime) &&
		number(claims, "iat", &issued) && text(claims, "jti", &tokenID)
	if _, custom := claims["permissions"]; custom && ok {
		ok = texts(claims, "permissions", &p.Permissions)
	}
	if !ok {
		return nil, unauthenticated(errors.New("a claim is absent or of the wrong type"))
	}
	p.AuthTime, p.IssueTime = time.Unix(int64(authTime), 0).UTC(), time.Unix(int64(issued), 0).UTC()
	if at, ok := id.Time(tokenID); ok {
		p.IssueTime = at // more exact than iat, which is in whole seconds
	}
	if !texts(claims, "amr", &p.Methods) {
		p.Methods = nil // the token does not contain the methods
	}
	if !p.FirstParty() {
		var scope string
		if !text(claims, "scope", &scope) {
			return nil, unauthenticated(errors.New("a token of an OAuth client without scope"))
		}
		p.Scopes = strings.Fields(scope)
	}
	v.principals.put(token, p, expiry(claims))
	return p, nil
}

// ID returns the user and the client of an ID token. It accepts an expired token, because
// the token is only a hint (OpenID Connect RP-Initiated Logout 1.0 section 2) and gives
// no access. Every defect is UNAUTHENTICATED.
func (v *Verifier) ID(ctx context.Context, token string) (IDClaims, error) {
	var out IDClaims
	claims, err := v.verify(ctx, v.id, token, TypeID)
	if err != nil {
		return out, err
	}
	if !text(claims, "iss", &out.Issuer) || out.Issuer != v.issuer || !text(claims, "sub", &out.Subject) ||
		!text(claims, "aud", &out.ClientID) || !text(claims, "sid", &out.SessionID) {
		return IDClaims{}, unauthenticated(errors.New("a claim is absent or wrong"))
	}
	return out, nil
}

// Service verifies a service token whose audience is the verifying service.
func (v *Verifier) Service(ctx context.Context, token string) (*Service, error) {
	if s, ok := v.services.get(token); ok {
		return s, nil
	}
	claims, err := v.verify(ctx, v.service, token, TypeService)
	if err != nil {
		return nil, err
	}
	s := &Service{}
	if !text(claims, "sub", &s.Name) {
		return nil, unauthenticated(errors.New("no subject"))
	}
	v.services.put(token, s, expiry(claims))
	return s, nil
}

func (v *Verifier) verify(ctx context.Context, parser *jwt.Parser, token, typ string) (jwt.MapClaims, error) {
	h, err := inspect(token)
	if err != nil {
		return nil, unauthenticated(err)
	}
	if h.Typ != typ || h.Kid == "" {
		return nil, unauthenticated(fmt.Errorf("type %q", h.Typ))
	}
	key, known, err := v.keys.Key(ctx, h.Kid)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE,
			"credentials cannot be checked now").WithRetryAfter(time.Second)
	}
	if !known {
		return nil, unauthenticated(errors.New("unknown key"))
	}
	claims := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
		return nil, unauthenticated(err)
	}
	return claims, nil
}

// unauthenticated returns the fault of a bad credential. The cause is only for the log.
func unauthenticated(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_UNAUTHENTICATED, "the credential is missing or not valid")
}

// Unauthenticated returns the fault for every missing or defective credential.
func Unauthenticated() error {
	return unauthenticated(errors.New("no credential"))
}

func expiry(c jwt.MapClaims) time.Time {
	at, err := c.GetExpirationTime()
	if err != nil || at == nil {
		return time.Time{}
	}
	return at.Time
}

func text(c jwt.MapClaims, name string, into *string) bool {
	s, ok := c[name].(string)
	*into = s
	return ok && s != ""
}

func number(c jwt.MapClaims, name string, into *float64) bool {
	n, ok := c[name].(float64)
	*into = n
	return ok
}

func texts(c jwt.MapClaims, name string, into *[]string) bool {
	list, ok := c[name].([]any)
	for _, item := range list {
		s, isText := item.(string)
		if !isText {
			return false
		}
		*into = append(*into, s)
	}
	return ok
}
