package session

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/email"
)

// BeginEmailSignIn implements the RPC.
func (s *Service) BeginEmailSignIn(ctx context.Context, req *authv1.BeginEmailSignInRequest) (*authv1.BeginEmailSignInResponse, error) {
	challengeID, err := s.deps.Addresses.BeginSignIn(ctx, req.GetEmail())
	if err != nil {
		return nil, err
	}
	return &authv1.BeginEmailSignInResponse{ChallengeId: challengeID, ExpiresIn: int32(email.SignInTTL.Seconds())}, nil
}

// FinishEmailSignIn implements the RPC.
func (s *Service) FinishEmailSignIn(ctx context.Context, req *authv1.FinishEmailSignInRequest) (*authv1.TokenResponse, error) {
	if req.GetToken() == "" && req.GetChallengeId() == "" {
		return nil, fault.Invalid("challengeId", "is required with a code")
	}
	// The key is read first, so that no email is used up without a response.
	if _, err := s.deps.Keys.Signing(ctx); err != nil {
		return nil, err
	}
	// Only a code can be guessed. Attempts are limited by challenge, and here by network.
	var guess attempt
	if req.GetToken() == "" {
		var err error
		if guess, err = s.deps.Throttle.reserve(ctx, req.GetChallengeId()); err != nil {
			return nil, err
		}
	}
	reader, err := s.deps.Addresses.FinishSignIn(ctx, email.Proof{
		Token: req.GetToken(), Code: req.GetCode(), ChallengeID: req.GetChallengeId(),
	})
	if err != nil {
		return nil, err
	}
	guess.refund(ctx)
	return s.Admit(ctx, reader.OrganizationID, reader.UserID, identity.MethodMail)
}
