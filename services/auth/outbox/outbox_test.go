package outbox_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// Only a local installation has an outbox. Elsewhere the route does not exist.
func TestListOutbox_WithoutOutbox_IsNotFound(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	_, err := authv1.NewOutboxServiceClient(p.Conn).ListOutbox(t.Context(), &authv1.ListOutboxRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_ROUTE_NOT_FOUND)
}
