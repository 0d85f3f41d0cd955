package invitation

import (
	"testing"
	"time"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func TestState_AtItsBoundaries(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name     string
		expires  time.Duration // after now
		accepted bool
		want     authv1.Invitation_State
	}{
		{"new", TTL, false, authv1.Invitation_PENDING},
		{"in its last instant", time.Nanosecond, false, authv1.Invitation_PENDING},
		{"at its expiry", 0, false, authv1.Invitation_EXPIRED},
		{"after its expiry", -time.Nanosecond, false, authv1.Invitation_EXPIRED},
		{"accepted", TTL, true, authv1.Invitation_ACCEPTED},
		{"accepted before it expired", -time.Hour, true, authv1.Invitation_ACCEPTED},
	} {
		i := Invitation{ExpireTime: now.Add(tc.expires)}
		if tc.accepted {
			i.AcceptTime = &now
		}
		if got := i.state(now); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
