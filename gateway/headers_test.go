package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// S53, S54: no header of a client becomes metadata of the gateway.
func TestMetadata(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	h.call("GET", "/v1/me", "", "Authorization", "Bearer user", "X-Gatehouse-Client-Ip", "6.6.6.6", "X-Gatehouse-Service-Token", "forged",
		"Grpc-Metadata-X-Gatehouse-Client-Ip", "6.6.6.6", "X-Forwarded-For", "6.6.6.6", "Cookie", "a=b", "X-Request-Id", "req-1",
		"Idempotency-Key", "k1", "User-Agent", "probe/1", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	md := h.saw()
	for name, want := range map[string]string{
		"authorization": "Bearer user", "x-gatehouse-service-token": "svc-auth", "x-gatehouse-client-ip": "127.0.0.1",
		"x-gatehouse-user-agent": "probe/1", "x-request-id": "req-1", "idempotency-key": "k1",
	} {
		if got := md.Get(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := fmt.Sprint(md); strings.Contains(got, "6.6.6.6") || strings.Contains(got, "a=b") {
		t.Errorf("a client's header passed: %s", got)
	}
}

func TestServiceMetadata_BecomesHeaders(t *testing.T) {
	t.Parallel()
	d := &double{getMe: func(ctx context.Context) (*authv1.Me, error) {
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-gatehouse-ratelimit", `"read";r=9;t=1`, "x-gatehouse-ratelimit-policy", `"read";q=10;w=60`,
			"idempotency-replayed", "true", "x-secret", "s"))
		return &authv1.Me{}, nil
	}}
	h := start(t, d, inMemory)
	a := h.call("GET", "/v1/me", "")
	if got := a.Header.Values("RateLimit"); len(got) != 1 || got[0] != `"read";r=9;t=1` {
		t.Errorf("RateLimit %q", got)
	}
	if a.Header.Get("RateLimit-Policy") == "" || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("headers %v", a.Header)
	}
	for name := range a.Header {
		if strings.Contains(strings.ToLower(name), "secret") || strings.HasPrefix(name, "X-Gatehouse") {
			t.Errorf("%s passed", name)
		}
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	remaining := make(chan time.Duration, 1)
	d := &double{search: func(ctx context.Context, req *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
		deadline, _ := ctx.Deadline()
		remaining <- time.Until(deadline)
		if req.GetQuery() == "hang" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &knowledgev1.SearchResponse{}, nil
	}}
	h := start(t, d, inMemory)
	h.call("POST", "/v1/knowledge:search", "{}", "Grpc-Timeout", "99999999H")
	if left := within(t, remaining, "the call"); left > 30*time.Second || left <= 0 {
		t.Errorf("a client got %s", left)
	}
	a := h.call("POST", "/v1/knowledge:search", `{"query":"hang"}`, "Grpc-Timeout", "50m")
	if p := a.problem(t); a.StatusCode != 504 || p.Reason != "DEADLINE_EXCEEDED" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
