package account_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestChangePassword_InformsUser(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	tokens, _ := p.SignUp(t, authtest.Ada)
	_, err := p.Accounts.ChangePassword(authtest.With(t.Context(), tokens), &authv1.ChangePasswordRequest{CurrentPassword: authtest.Password, NewPassword: authtest.OtherPassword})
	authtest.Must(t, err)
	p.Server.Wait(t, authtest.Ada, "Your password was changed")
}
