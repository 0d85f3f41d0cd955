package rpcclient

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	// tokenSlack renews a token well before it expires.
	tokenSlack = time.Minute
	// tokenTimeout bounds one request for a token.
	tokenTimeout = 3 * time.Second
)

// ServiceSecret returns the secret by which a service proves itself to auth.
// It is derived from the installation's secret key, so that every service has
// its own and none has to be handed around.
func ServiceSecret(secretKey []byte, service string) (string, error) {
	secret, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/service-client/"+service, 32)
	if err != nil {
		return "", fmt.Errorf("derive secret of %s: %w", service, err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}

// Tokens fetches service tokens from auth and keeps them until shortly before
// they expire. It is safe for concurrent use.
type Tokens struct {
	client  authv1.ServiceTokenServiceClient
	service string
	secret  string
	clock   clock.Clock
	flight  singleflight.Group

	mu     sync.RWMutex
	tokens map[string]issued
}

type issued struct {
	token string
	until time.Time
}

// NewTokens returns a source of tokens for a service, over a connection to
// auth.
func NewTokens(auth grpc.ClientConnInterface, service, secret string, clk clock.Clock) *Tokens {
	return &Tokens{
		client:  authv1.NewServiceTokenServiceClient(auth),
		service: service,
		secret:  secret,
		clock:   clk,
		tokens:  map[string]issued{},
	}
}

// Token implements [TokenSource].
func (t *Tokens) Token(ctx context.Context, audience string) (string, error) {
	t.mu.RLock()
	have := t.tokens[audience]
	t.mu.RUnlock()
	if t.clock.Now().Before(have.until) {
		return have.token, nil
	}
	result := t.flight.DoChan(audience, func() (any, error) { return t.issue(ctx, audience) })
	select {
	case r := <-result:
		token, _ := r.Val.(string)
		return token, r.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// issue asks for one token. It outlives the caller that asked first, since
// others wait for it too, and carries nothing of that caller's request.
func (t *Tokens) issue(ctx context.Context, audience string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.MD{})
	answer, err := t.client.IssueServiceToken(ctx, &authv1.IssueServiceTokenRequest{
		ClientId: t.service, ClientSecret: t.secret, Audience: audience,
	}, grpc.WaitForReady(true))
	if err != nil {
		return "", err //nolint:wrapcheck // a status, which fault.From understands
	}
	lifetime := time.Duration(answer.GetExpiresIn()) * time.Second
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[audience] = issued{token: answer.GetAccessToken(), until: t.clock.Now().Add(lifetime - tokenSlack)}
	return answer.GetAccessToken(), nil
}

// PublishedKeys fetches auth's JWKS over a connection to auth.
func PublishedKeys(auth grpc.ClientConnInterface) identity.FetchKeys {
	client := authv1.NewKeyServiceClient(auth)
	return func(ctx context.Context) (map[string]ed25519.PublicKey, error) {
		set, err := client.GetJwks(ctx, &authv1.GetJwksRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return nil, err //nolint:wrapcheck // a status, which fault.From understands
		}
		keys := make(map[string]ed25519.PublicKey, len(set.GetKeys()))
		for _, k := range set.GetKeys() {
			raw, err := base64.RawURLEncoding.DecodeString(k.GetX())
			if err != nil || len(raw) != ed25519.PublicKeySize {
				return nil, fmt.Errorf("key %q of the key set is malformed", k.GetKid())
			}
			keys[k.GetKid()] = ed25519.PublicKey(raw)
		}
		return keys, nil
	}
}
