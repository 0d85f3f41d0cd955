package federation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// attempt is a sign-in or a link that was begun and is not finished.
type attempt struct {
	redirectURI string
	// userID and sessionID identify the user who links an identity. They are empty for
	// a sign-in.
	userID, sessionID string
}

// The purposes of the values that derive from an attempt's secret.
const (
	purposeVerifier = "code verifier"
	purposeNonce    = "nonce"
)

// derive returns a value that only the holder of an attempt's secret can compute. It
// has 43 characters, as PKCE requires (RFC 7636 section 4.1).
func derive(secret, purpose string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// begin stores an attempt, and returns the address to which its user goes.
func (s *Service) begin(ctx context.Context, provider, returnTo string, a attempt) (*authv1.ProviderAttempt, error) {
	p, err := s.provider(ctx, provider)
	if err != nil {
		return nil, err
	}
	callback := s.callback(p.ID)
	if a.redirectURI == "" {
		a.redirectURI = callback
	}
	if a.redirectURI != callback && !slices.Contains(s.deps.Redirects, a.redirectURI) {
		return nil, fault.Invalid("redirectUri", "is not one of the redirects of the installation")
	}
	c, err := s.connect(ctx, p)
	if err != nil {
		return nil, err
	}
	state, stateHash := securetoken.New()
	secret, secretHash := securetoken.New()
	if err := s.deps.Store.insertAttempt(ctx, stateHash, secretHash, p.ID, a, s.deps.Clock.Now().Add(attemptTTL)); err != nil {
		return nil, err
	}
	return &authv1.ProviderAttempt{
		AuthorizationUrl: c.authorizationURL(a.redirectURI, state, secret), State: state, Secret: secret, ReturnTo: returnTo,
	}, nil
}

// callbackRequest is the message with which a client passes on the callback of a
// provider.
type callbackRequest interface {
	GetProvider() string
	GetState() string
	GetSecret() string
	GetCode() string
	GetIss() string
}

// finish uses up an attempt, and returns the profile that the provider asserts.
func (s *Service) finish(ctx context.Context, callback callbackRequest, links bool) (Provider, attempt, identityProfile, error) {
	p, err := s.provider(ctx, callback.GetProvider())
	if err != nil {
		return p, attempt{}, identityProfile{}, err
	}
	// The attempt is used up first, whatever the provider responds.
	a, err := s.deps.Store.useAttempt(ctx, securetoken.Hash(callback.GetState()), securetoken.Hash(callback.GetSecret()), p.ID, links, s.deps.Clock.Now())
	if err != nil {
		return p, a, identityProfile{}, err
	}
	c, err := s.connect(ctx, p)
	if err != nil {
		return p, a, identityProfile{}, err
	}
	profile, err := c.redeem(ctx, a.redirectURI, callback.GetCode(), callback.GetIss(), callback.GetSecret())
	if err != nil {
		return p, a, profile, err
	}
	if profile, err = profile.sanitized(); err != nil {
		return p, a, profile, refused(err)
	}
	return p, a, profile, nil
}
