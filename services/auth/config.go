package auth

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gatehouse/gatehouse/platform/notify"
	"github.com/gatehouse/gatehouse/services/auth/federation"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// Config is the configuration of the service.
type Config struct {
	// Issuer is the issuer of every token: the public URL.
	Issuer string
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	// AdminEmail and AdminPassword are those of the first operator, for EnsureOperator.
	// Either both are set or neither.
	AdminEmail, AdminPassword string
	// RateLimits reports whether wrong passwords and emails to an address are limited.
	RateLimits bool
	// VerifiedEmail reports whether an address must be confirmed before its account is
	// created.
	VerifiedEmail bool
	// Settings are those that operators set. InvitationsPerDay applies when RateLimits is
	// set.
	Settings
	// SignUpClosed reports whether only users with an invitation may sign up.
	SignUpClosed bool
	// Messages says how emails and text messages are sent.
	Messages notify.Config
	// UploadBytes and BodyBytes are the largest file and the largest other request, and
	// Version is the version of the server. They are returned to clients.
	UploadBytes, BodyBytes int64
	Version                string
	// Providers are the identity providers with which anyone may sign in.
	Providers []federation.Provider
	// Redirects are the addresses, beside the gateway, to which a provider may send a user
	// back.
	Redirects []string
	// EgressAllow lists the networks, beside the public internet, in which the issuers of
	// organizations may be.
	EgressAllow []netip.Prefix
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var problems []error
	if c.Issuer == "" {
		problems = append(problems, errors.New("auth: the issuer is required"))
	}
	if len(c.SecretKey) != 32 {
		problems = append(problems, errors.New("auth: the secret key must have 32 bytes"))
	}
	problems = append(problems, c.Problems()...)
	if (c.AdminEmail == "") != (c.AdminPassword == "") {
		problems = append(problems, errors.New("auth: the first operator needs both an address and a password"))
	}
	if c.AdminPassword != "" {
		if err := user.CheckPassword(c.AdminPassword, c.AdminEmail); err != nil {
			problems = append(problems, fmt.Errorf("auth: the first operator's password: %w", err))
		}
	}
	return errors.Join(append(problems, federation.Check(c.Providers, c.Redirects))...)
}

// invitationsPerDay returns the number of invitations that an organization may send in a
// day. 0 means no limit.
func (c Config) invitationsPerDay() int {
	if !c.RateLimits {
		return 0
	}
	return c.InvitationsPerDay
}
