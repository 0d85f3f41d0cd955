package directory_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/clock"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/directory"
)

// management counts the calls.
type management struct {
	calls int
}

func (m *management) ResolveAssistant(_ context.Context, req *managementv1.ResolveAssistantRequest, _ ...grpc.CallOption) (*managementv1.Assistant, error) {
	m.calls++
	if req.GetOrganizationId() != "mine" {
		return nil, status.Error(codes.NotFound, "no such assistant")
	}
	return &managementv1.Assistant{Id: req.GetId()}, nil
}

func TestResolve_IsCachedUntilForgottenOrExpired(t *testing.T) {
	t.Parallel()
	m, clk := &management{}, clock.NewFake(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	d, err := directory.New(directory.Deps{Client: m, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(want int, when string) {
		t.Helper()
		if _, err := d.Resolve(t.Context(), "mine", "a1"); err != nil {
			t.Fatal(err)
		}
		if m.calls != want {
			t.Errorf("%s: %d calls, want %d", when, m.calls, want)
		}
	}
	resolve(1, "first")
	resolve(1, "again")
	d.Forget(t.Context(), "a1")
	resolve(2, "after a change")
	d.ForgetAll(t.Context())
	resolve(3, "after a reconnect")
	clk.Advance(61 * time.Second)
	resolve(4, "after a minute")
}

func TestS42ResolveReturnsNoCachedAssistantToAnotherOrganization(t *testing.T) {
	t.Parallel()
	d, err := directory.New(directory.Deps{
		Client: &management{}, Clock: clock.NewFake(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(t.Context(), "mine", "a1"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(t.Context(), "theirs", "a1"); status.Code(err) != codes.NotFound {
		t.Errorf("returned %v, want NOT_FOUND", err)
	}
}
