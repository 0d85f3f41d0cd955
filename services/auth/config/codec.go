package config

import (
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
)

// encode returns the capabilities as the contract has them.
func encode(c Capabilities) *authv1.Config {
	out := &authv1.Config{
		SignUp: authv1.Config_OPEN, EmailVerification: c.VerifiedEmail,
		SignInMethods: []string{methodPassword, methodEmail}, Factors: []string{factor.MethodTOTP},
		Locales: c.Locales, Limits: &authv1.Config_Limits{UploadBytes: c.UploadBytes, BodyBytes: c.BodyBytes}, Version: c.Version,
	}
	if c.SignUpClosed {
		out.SignUp = authv1.Config_CLOSED
	}
	if c.Passkeys {
		out.SignInMethods = append(out.SignInMethods, methodPasskey)
		out.Factors = append(out.Factors, factor.MethodPasskey)
	}
	for _, p := range c.Providers {
		out.Providers = append(out.Providers, &authv1.SignInProvider{Id: p.ID, DisplayName: p.DisplayName})
	}
	return out
}
