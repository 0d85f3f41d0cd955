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

// attempt is a way to a provider and back.
type attempt struct {
	redirectURI string
	// userID and sessionID say who links an identity; empty to sign in.
	userID, sessionID string
}

// The purposes of what derives from an attempt's secret.
const (
	forVerifier = "code verifier"
	forNonce    = "nonce"
)

// derive returns what only the holder of an attempt's secret can say, for a purpose:
// 43 characters, as PKCE wants them (RFC 7636 section 4.1).
func derive(secret, purpose string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// begin keeps an attempt and returns where its user is to go.
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
		return nil, fault.Invalid("redirectUri", "is none of those that the installation lists")
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

// callbackRequest is what came back from a provider: a message of the contract.
type callbackRequest interface {
	GetProvider() string
	GetState() string
	GetSecret() string
	GetCode() string
	GetIss() string
}

// finish uses an attempt up and returns of whom the provider tells.
func (s *Service) finish(ctx context.Context, back callbackRequest, links bool) (Provider, attempt, profile, error) {
	p, err := s.provider(ctx, back.GetProvider())
	if err != nil {
		return p, attempt{}, profile{}, err
	}
	// Used up before anything is asked of the provider: whatever becomes of that.
	a, err := s.deps.Store.useAttempt(ctx, securetoken.Hash(back.GetState()), securetoken.Hash(back.GetSecret()), p.ID, links, s.deps.Clock.Now())
	if err != nil {
		return p, a, profile{}, err
	}
	c, err := s.connect(ctx, p)
	if err != nil {
		return p, a, profile{}, err
	}
	who, err := c.redeem(ctx, a.redirectURI, back.GetCode(), back.GetIss(), back.GetSecret())
	if err != nil {
		return p, a, who, err
	}
	if who, err = who.sanitized(); err != nil {
		return p, a, who, refused(err)
	}
	return p, a, who, nil
}
