package identity_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestS18OnlyARecentSignInIsFresh(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		principal *identity.Principal
		want      faultv1.Reason
	}{
		"just now":       {&identity.Principal{ClientID: identity.FirstParty, AuthTime: now}, faultv1.Reason_REASON_UNSPECIFIED},
		"five minutes":   {&identity.Principal{ClientID: identity.FirstParty, AuthTime: now.Add(-identity.MaxAuthAge)}, faultv1.Reason_REASON_UNSPECIFIED},
		"a second more":  {&identity.Principal{ClientID: identity.FirstParty, AuthTime: now.Add(-identity.MaxAuthAge - time.Second)}, faultv1.Reason_REASON_STEP_UP_REQUIRED},
		"never":          {&identity.Principal{ClientID: identity.FirstParty}, faultv1.Reason_REASON_STEP_UP_REQUIRED},
		"another client": {&identity.Principal{ClientID: "app", AuthTime: now}, faultv1.Reason_REASON_INSUFFICIENT_SCOPE},
		"nobody":         {nil, faultv1.Reason_REASON_UNAUTHENTICATED},
	} {
		ctx := t.Context()
		if tc.principal != nil {
			ctx = identity.NewContext(ctx, tc.principal)
		}
		got, err := identity.RequireFresh(ctx, clock.NewFake(now), identity.MaxAuthAge)
		if tc.want == faultv1.Reason_REASON_UNSPECIFIED {
			if err != nil || got != tc.principal {
				t.Errorf("%s: %v", name, err)
			}
		} else if !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func TestShowedFactor_OnlySecondFactorsCount(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		identity.MethodPassword: false, identity.MethodOTP: true, identity.MethodHardwareKey: true,
		identity.MethodSoftwareKey: true, identity.MethodUser: false,
	} {
		if identity.ShowedFactor([]string{method}) != want {
			t.Errorf("%s is a factor: %t", method, !want)
		}
	}
}
