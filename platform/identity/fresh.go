package identity

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// MaxAuthAge is the maximum age of a sign-in for actions that need a fresh one.
const MaxAuthAge = 5 * time.Minute

// Methods of a sign-in, as in the amr claim of tokens (RFC 8176).
const (
	// MethodPassword is a password.
	MethodPassword = "pwd"
	// MethodOTP is a one-time code: from an authenticator, or a recovery code.
	MethodOTP = "otp"
	// MethodHardwareKey is a passkey that cannot leave its device.
	MethodHardwareKey = "hwk"
	// MethodSoftwareKey is a passkey that may be copied to other devices.
	MethodSoftwareKey = "swk"
	// MethodUser means that the device of a passkey has verified its user.
	MethodUser = "user"
	// MethodMail is a code or a link from an email to the user's address. It is not a
	// second factor, because an email is enough to reset the password.
	MethodMail = "mca"
	// MethodFederated is a sign-in at an identity provider.
	MethodFederated = "fed"
	// MethodOrganization means that the identity provider belongs to an organization, and
	// that the user also has other credentials, which were not used for this sign-in.
	MethodOrganization = "org"
	// MethodMultiple means that more than one factor was used.
	MethodMultiple = "mfa"
)

// RequireFresh returns the principal of a request whose user authenticated within
// maxAge, usually [MaxAuthAge]. It returns STEP_UP_REQUIRED when the sign-in is older,
// and INSUFFICIENT_SCOPE for an API key or an OAuth client, because there is no user who
// could authenticate again.
func RequireFresh(ctx context.Context, clk clock.Clock, maxAge time.Duration) (*Principal, error) {
	p, err := Require(ctx)
	if err != nil {
		return nil, err
	}
	if p.ClientID != FirstParty {
		return nil, fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "only the user can do this, signed in")
	}
	if clk.Now().Sub(p.AuthTime) > maxAge || BoundToOrganization(p.Methods) {
		return nil, StepUpRequired()
	}
	return p, nil
}

// RequireSelf returns the principal of a request about the user's own account,
// independent of the organization of the request. It returns STEP_UP_REQUIRED when only
// the identity provider of an organization has authenticated the user
// ([BoundToOrganization]).
func RequireSelf(ctx context.Context) (*Principal, error) {
	p, err := Require(ctx)
	if err == nil && BoundToOrganization(p.Methods) {
		return nil, StepUpRequired()
	}
	return p, err
}

// StepUpRequired returns the fault of a call that needs a new authentication.
func StepUpRequired() error {
	return fault.New(faultv1.Reason_REASON_STEP_UP_REQUIRED, "enter your password or second factor again")
}

// BoundToOrganization reports whether only the identity provider of an organization has
// authenticated the user, although the user has other credentials. Such a sign-in is
// valid in that organization, and not for the account, because the administrator of the
// provider is not the user.
func BoundToOrganization(methods []string) bool {
	return slices.Contains(methods, MethodOrganization) && !slices.Contains(methods, MethodPassword) && !ShowedFactor(methods)
}

// ShowedFactor reports whether the methods of a sign-in contain a second factor.
func ShowedFactor(methods []string) bool {
	return slices.ContainsFunc(methods, func(m string) bool {
		return m == MethodOTP || m == MethodHardwareKey || m == MethodSoftwareKey
	})
}
