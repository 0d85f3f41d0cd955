package factor_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestS18ChangeOfFactorsInformsUser(t *testing.T) {
	t.Parallel()
	clk := clock.System()
	p := authtest.SetupMail(t, clk, false)
	tokens, _ := p.SignUp(t, authtest.Ada)
	key := authtest.NewPasskey(t)
	registered := p.RegisterPasskey(t, tokens, key)
	p.Server.Wait(t, authtest.Ada, "A second factor was added")
	fresh, err := p.Sessions.StepUp(authtest.With(t.Context(), tokens), &authv1.StepUpRequest{
		Credential: &authv1.StepUpRequest_Passkey{Passkey: authtest.SignPasskey(t, key, p.BeginPasskeySignIn(t, ""))},
	})
	authtest.Must(t, err)
	_, err = p.Passkeys.DeletePasskey(authtest.With(t.Context(), fresh), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	authtest.Must(t, err)
	p.Server.Wait(t, authtest.Ada, "A second factor was removed")
}
