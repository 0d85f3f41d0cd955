// Package servicetoken gives the services of the suite the tokens by which they
// know each other.
//
// A service proves itself with a secret that both sides derive from the
// installation's secret key, so none is stored. Its token names one callee as
// audience and is good for nothing else.
package servicetoken

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

// TTL is how long a service token lives.
const TTL = 5 * time.Minute

// Service implements the RPCs of service tokens.
type Service struct {
	authv1.UnsafeServiceTokenServiceServer

	keys    *key.Ring
	issuer  string
	clock   clock.Clock
	secrets map[string][sha256.Size]byte
	nobody  [sha256.Size]byte
}

// NewService returns the service. It derives the secret of every client.
func NewService(keys *key.Ring, issuer string, secretKey []byte, clk clock.Clock) (*Service, error) {
	if keys == nil || issuer == "" || clk == nil {
		return nil, errors.New("servicetoken: every dependency is required")
	}
	s := &Service{keys: keys, issuer: issuer, clock: clk, secrets: map[string][sha256.Size]byte{}}
	for _, client := range []string{"gateway", "management", "chat"} {
		secret, err := rpcclient.ServiceSecret(secretKey, client)
		if err != nil {
			return nil, err
		}
		s.secrets[client] = sha256.Sum256([]byte(secret))
	}
	return s, nil
}

// IssueServiceToken implements the RPC.
func (s *Service) IssueServiceToken(ctx context.Context, req *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	want, known := s.secrets[req.GetClientId()]
	if !known {
		want = s.nobody
	}
	// Digests are compared, so that the time tells nothing of the length either.
	given := sha256.Sum256([]byte(req.GetClientSecret()))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 || !known {
		return nil, identity.Unauthenticated()
	}
	if !slices.Contains([]string{"auth", "management", "chat"}, req.GetAudience()) {
		return nil, fault.Invalid("audience", "must be auth, management or chat")
	}
	signing, err := s.keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	token, err := identity.SignService(signing, identity.ServiceClaims{
		Issuer: s.issuer, Service: req.GetClientId(), Audience: req.GetAudience(), IssuedAt: now, ExpiresAt: now.Add(TTL),
	})
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "no token could be signed")
	}
	return &authv1.IssueServiceTokenResponse{AccessToken: token, ExpiresIn: int32(TTL.Seconds())}, nil
}
