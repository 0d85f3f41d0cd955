package federation_test

import (
	"testing"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// The installation's providers are listed. Where sign-up is closed, they create no
// accounts.
func TestFinishSignIn_SignUpClosed_CreatesNoAccount(t *testing.T) {
	t.Parallel()
	f := authtest.SetupFederated(t, func(cfg *auth.Config) { cfg.SignUpClosed = true })
	got, err := authv1.NewConfigServiceClient(f.Conn).GetConfig(t.Context(), &authv1.GetConfigRequest{})
	authtest.Must(t, err)
	if p := got.GetProviders(); len(p) != 1 || p[0].GetId() != "acme" || p[0].GetDisplayName() != "ACME" {
		t.Errorf("listed %v", p)
	}
	f.WantRefused(t, claimsOf("1", authtest.Ada), faultv1.Reason_REASON_SIGN_UP_CLOSED)
	if n := authtest.AdminText(t, f.Bundle, "SELECT count(*)::text FROM auth.users"); n != "0" {
		t.Errorf("%s accounts were created", n)
	}
}
