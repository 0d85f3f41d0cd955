// Package config is what an installation tells whoever is not signed in yet: how to
// get an account, how to sign in, what may be sent.
package config

import (
	"context"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/room"
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

// Deps is what the room needs.
type Deps struct{ Capabilities Capabilities }

// Service implements the RPC.
type Service struct {
	authv1.UnsafeConfigServiceServer

	deps Deps
}

// New returns the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("config", d); err != nil {
		return nil, err
	}
	return &Service{deps: d}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterConfigServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// GetConfig implements the RPC.
func (s *Service) GetConfig(context.Context, *authv1.GetConfigRequest) (*authv1.Config, error) {
	o := s.deps.Capabilities
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
