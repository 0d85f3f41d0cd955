package authclient_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
)

// issuer is auth as far as service tokens go; it keeps what it was asked.
type issuer struct {
	authv1.UnsafeServiceTokenServiceServer

	mu      sync.Mutex
	asked   []metadata.MD
	waiting chan struct{} // closed lets answers out
}

func (i *issuer) IssueServiceToken(ctx context.Context, req *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	i.mu.Lock()
	i.asked = append(i.asked, md)
	n := len(i.asked)
	i.mu.Unlock()
	<-i.waiting
	return &authv1.IssueServiceTokenResponse{AccessToken: req.GetAudience() + "-" + string(rune('0'+n)), ExpiresIn: 600}, nil
}

func (i *issuer) requests() []metadata.MD {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func tokens(t *testing.T, clk clock.Clock) (*authclient.Tokens, *issuer) {
	t.Helper()
	auth := &issuer{waiting: make(chan struct{})}
	server := grpc.NewServer()
	authv1.RegisterServiceTokenServiceServer(server, auth)
	listener := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///auth", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return authclient.NewTokens(conn, "gateway", "secret", clk), auth
}

func TestTokensAreKeptUntilShortlyBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	source, auth := tokens(t, clk)
	close(auth.waiting)
	for _, step := range []struct {
		advance time.Duration
		want    string
	}{{0, "chat-1"}, {8 * time.Minute, "chat-1"}, {90 * time.Second, "chat-2"}} {
		clk.Advance(step.advance)
		if got, err := source.Token(t.Context(), "chat"); err != nil || got != step.want {
			t.Errorf("after %v more: %q, %v, want %q", step.advance, got, err, step.want)
		}
	}
}

// The request that needs a token first must not lend its headers to the request
// for the token: a user's credential and key are not the service's.
func TestRequestsForTokensCarryNothingOfTheCallersRequest(t *testing.T) {
	t.Parallel()
	source, auth := tokens(t, clock.System())
	close(auth.waiting)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer user", "idempotency-key", "key", "if-match", `"1"`)
	if _, err := source.Token(ctx, "chat"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"authorization", "idempotency-key", "if-match"} {
		if got := auth.requests()[0].Get(name); len(got) > 0 {
			t.Errorf("the request for a token carries %s: %q", name, got)
		}
	}
}

func TestManyCallersShareOneRequest(t *testing.T) {
	t.Parallel()
	source, auth := tokens(t, clock.System())
	var wg sync.WaitGroup
	started := make(chan struct{}, 16)
	for range 16 {
		wg.Go(func() {
			started <- struct{}{}
			if got, err := source.Token(t.Context(), "chat"); err != nil || got != "chat-1" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for range 16 {
		<-started
	}
	close(auth.waiting)
	wg.Wait()
	if n := len(auth.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Who gives up waiting does not take the token from those who wait on.
func TestACallerThatGivesUpDoesNotEndTheRequest(t *testing.T) {
	t.Parallel()
	source, auth := tokens(t, clock.System())
	cancelled, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := source.Token(cancelled, "chat")
		failed <- err
	}()
	cancel()
	if err := <-failed; err == nil {
		t.Error("a caller that gave up got a token")
	}
	close(auth.waiting)
	if got, err := source.Token(t.Context(), "chat"); err != nil || got == "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEveryServiceHasASecretOfItsOwn(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	seen := map[string]string{}
	for _, service := range []string{"gateway", "management", "chat"} {
		secret, err := rpcclient.ServiceSecret(key, service)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[secret]; taken {
			t.Errorf("%s has the secret of %s", service, other)
		}
		seen[secret] = service
		if again, err := rpcclient.ServiceSecret(key, service); err != nil || again != secret {
			t.Errorf("%s: another secret the second time, %v", service, err)
		}
	}
}
