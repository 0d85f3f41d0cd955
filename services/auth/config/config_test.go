package config_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestGetConfig_ReturnsCapabilities(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		b := authtest.SetupWith(t, clock.System(), auth.Config{SignUpClosed: closed, VerifiedEmail: closed, UploadBytes: 32, BodyBytes: 4, Version: "v1"})
		got, err := authv1.NewConfigServiceClient(b.Conn).GetConfig(t.Context(), &authv1.GetConfigRequest{})
		authtest.Must(t, err)
		signUp := map[bool]authv1.Config_SignUp{false: authv1.Config_OPEN, true: authv1.Config_CLOSED}[closed]
		if got.GetSignUp() != signUp || got.GetEmailVerification() != closed || got.GetVersion() != "v1" ||
			got.GetLimits().GetUploadBytes() != 32 || got.GetLimits().GetBodyBytes() != 4 {
			t.Errorf("closed %t: %v", closed, got)
		}
		if !slices.Equal(got.GetSignInMethods(), []string{"password", "email", "passkey"}) || !slices.Equal(got.GetFactors(), []string{"totp", "passkey"}) ||
			!slices.Equal(got.GetLocales(), []string{"en"}) || len(got.GetProviders()) != 0 {
			t.Errorf("the providers are %v", got)
		}
	}
}
