package authtest

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func (p *Mail) WantInvitationLimit(t *testing.T, by *authv1.TokenResponse, email string) {
	t.Helper()
	_, err := p.Invite(t, by, email, "viewer")
	WantReason(t, err, faultv1.Reason_REASON_INVITATION_LIMIT)
	if after := fault.From(err).RetryAfter(); after <= 0 {
		t.Errorf("come back after %v", after)
	}
}
