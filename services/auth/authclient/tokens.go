package authclient

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

const (
	// tokenSlack is how long before its expiry a token is renewed.
	tokenSlack = time.Minute
	// tokenTimeout bounds one request for a token.
	tokenTimeout = 3 * time.Second
)

// Tokens requests service tokens from auth and keeps each until shortly before it expires.
// It is safe for concurrent use.
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

// NewTokens returns a source of tokens for a service.
func NewTokens(auth grpc.ClientConnInterface, service, secret string, clk clock.Clock) *Tokens {
	return &Tokens{
		client:  authv1.NewServiceTokenServiceClient(auth),
		service: service,
		secret:  secret,
		clock:   clk,
		tokens:  map[string]issued{},
	}
}

// Token implements [rpcclient.TokenSource].
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

// issue requests one token. The request does not end with its first caller, since other
// callers wait for it too, and it has no metadata of that caller.
func (t *Tokens) issue(ctx context.Context, audience string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	ctx = metadata.NewOutgoingContext(ctx, metadata.MD{})
	issuedToken, err := t.client.IssueServiceToken(ctx, &authv1.IssueServiceTokenRequest{
		ClientId: t.service, ClientSecret: t.secret, Audience: audience,
	}, grpc.WaitForReady(true))
	if err != nil {
		return "", err
	}
	lifetime := time.Duration(issuedToken.GetExpiresIn()) * time.Second
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[audience] = issued{token: issuedToken.GetAccessToken(), until: t.clock.Now().Add(lifetime - tokenSlack)}
	return issuedToken.GetAccessToken(), nil
}
