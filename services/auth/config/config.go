// Package config is what an installation tells whoever is not signed in yet: how to
// get an account, how to sign in, what may be sent.
package config

import (
	"context"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor"
)

// The ways to sign in.
const (
	methodPassword = "password"
	methodEmail    = "email"
	methodPasskey  = "passkey"
)

// Capabilities is what an installation offers.
type Capabilities struct {
	// SignUpClosed says whether only whoever was invited may sign up, and
	// VerifiedEmail whether the address must be confirmed first.
	SignUpClosed, VerifiedEmail bool
	// Passkeys says whether the public URL has a name that they can be bound to.
	Passkeys bool
	// Providers are the identity providers by which anybody may sign in.
	Providers []Provider
	// Locales are the languages of mails (BCP 47).
	Locales []string
	// UploadBytes and BodyBytes are the largest file and the largest other request.
	UploadBytes, BodyBytes int64
	// Version is the server's.
	Version string
}

// Provider is an identity provider as clients show it.
type Provider struct{ ID, DisplayName string }

// Service implements the RPC.
type Service struct {
	authv1.UnsafeConfigServiceServer

	capabilities Capabilities
}

// NewService returns the service.
func NewService(o Capabilities) *Service { return &Service{capabilities: o} }

// GetConfig implements the RPC.
func (s *Service) GetConfig(context.Context, *authv1.GetConfigRequest) (*authv1.Config, error) {
	o := s.capabilities
	out := &authv1.Config{
		SignUp: authv1.Config_OPEN, EmailVerification: o.VerifiedEmail,
		SignInMethods: []string{methodPassword, methodEmail}, Factors: []string{factor.MethodTOTP},
		Locales: o.Locales, Limits: &authv1.Config_Limits{UploadBytes: o.UploadBytes, BodyBytes: o.BodyBytes}, Version: o.Version,
	}
	if o.SignUpClosed {
		out.SignUp = authv1.Config_CLOSED
	}
	if o.Passkeys {
		out.SignInMethods = append(out.SignInMethods, methodPasskey)
		out.Factors = append(out.Factors, factor.MethodPasskey)
	}
	for _, p := range o.Providers {
		out.Providers = append(out.Providers, &authv1.SignInProvider{Id: p.ID, DisplayName: p.DisplayName})
	}
	return out, nil
}
