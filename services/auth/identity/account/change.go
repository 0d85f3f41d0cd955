package account

import (
	"context"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// mailPasswordChanged informs a user, because somebody else may have made the change.
const mailPasswordChanged mailing.Kind = "password_changed"

// UpdateMe implements the RPC.
func (s *Service) UpdateMe(ctx context.Context, req *authv1.UpdateMeRequest) (*authv1.Me, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	patch := user.User{DisplayName: strings.TrimSpace(req.GetMe().GetDisplayName()), Locale: req.GetMe().GetLocale()}
	mask, etag := user.Fields().Mask(patch, req.GetUpdateMask().GetPaths()), rpcserver.Etag(ctx, req.GetMe().GetEtag())
	err = s.change(ctx, caller, "updated", func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		if err := fault.CheckEtag("account", etag, u.Etag()); err != nil {
			return u, err
		}
		after, err := user.Fields().Apply(u, patch, mask)
		if err != nil {
			return u, err
		}
		return after, after.Validate()
	})
	if err != nil {
		return nil, err
	}
	return s.GetMe(ctx, nil)
}

// ChangePassword implements the RPC. It ends the user's other sessions, because
// somebody else may have signed in with the old password.
func (s *Service) ChangePassword(ctx context.Context, req *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	mine, err := s.deps.Users.Find(ctx, caller.UserID)
	if err != nil {
		return nil, err
	}
	if err := user.CheckPassword(req.GetNewPassword(), mine.Email); err != nil {
		return nil, fault.Invalid("newPassword", "%s", fault.From(err).Violations()[0].Message)
	}
	// Hashing is slow, so it is done outside of the transaction, which uses a connection.
	same, err := s.deps.Passwords.Verify(ctx, mine.ID, mine.PasswordHash, req.GetCurrentPassword())
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, fault.New(faultv1.Reason_REASON_INVALID_CREDENTIALS, "the current password is wrong")
	}
	hash, err := s.deps.Hasher.Hash(ctx, req.GetNewPassword())
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, caller, "password_changed", func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error) {
		if u.PasswordHash != mine.PasswordHash {
			return u, fault.New(faultv1.Reason_REASON_CONFLICT, "the password was changed at the same time")
		}
		u.PasswordHash = hash
		if _, err := s.deps.Sessions.End(ctx, tx, u.ID, "", caller.SessionID); err != nil {
			return u, err
		}
		return u, s.deps.Mail.Enqueue(ctx, tx, mailing.Message{Kind: mailPasswordChanged, Address: u.Email, Locale: u.Locale})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ChangePasswordResponse{}, nil
}

// change changes the caller's account and writes the audit row in one transaction.
func (s *Service) change(ctx context.Context, caller *identity.Principal, verb string,
	edit func(ctx context.Context, tx postgres.Tx, u user.User) (user.User, error),
) error {
	return s.deps.Users.InTx(ctx, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		before, err := s.deps.Users.Lock(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		after, err := edit(ctx, tx, before)
		if err != nil {
			return err
		}
		after.Revision, after.UpdateTime = before.Revision+1, clock.Stamp(s.deps.Clock)
		if err := s.deps.Users.Save(ctx, tx, after); err != nil {
			return err
		}
		// The audit row belongs to the organization in which the user acts.
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: caller.OrganizationID, UserID: caller.UserID}); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: caller.OrganizationID, Action: "auth.user." + verb, ResourceType: "user", ResourceID: caller.UserID,
			Changes: user.Fields().Changes(before, after),
		})
	})
}
