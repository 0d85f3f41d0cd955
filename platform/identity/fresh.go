package identity

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// MaxAuthAge is how long ago a credential was shown, at most, for what asks for
// a fresh sign-in.
const MaxAuthAge = 5 * time.Minute

// What a user showed to sign in, as the amr claim of its tokens says it (RFC
// 8176).
const (
	// MethodPassword is a password.
	MethodPassword = "pwd"
	// MethodOTP is a one-time code: of an authenticator, or a recovery code.
	MethodOTP = "otp"
	// MethodHardwareKey is a passkey that cannot leave its device.
	MethodHardwareKey = "hwk"
	// MethodSoftwareKey is a passkey that its keeper may copy to other devices.
	MethodSoftwareKey = "swk"
	// MethodUser says that a passkey's device had verified who holds it.
	MethodUser = "user"
	// MethodMail is a code, or a link, that was mailed to the user's address: shown
	// over another channel than it was asked for. It is no second factor, as a
	// mailbox is where passwords are reset.
	MethodMail = "mca"
	// MethodFederated is the word of an identity provider.
	MethodFederated = "fed"
	// MethodOrganization says that the provider is an organization's, and that the user
	// has other ways to sign in, of which nothing was shown.
	MethodOrganization = "org"
	// MethodMultiple says that more than one factor was shown.
	MethodMultiple = "mfa"
)

// RequireFresh returns the principal of a request whose user showed a
// credential within maxAge, usually [MaxAuthAge]. Without one it is
// STEP_UP_REQUIRED; a credential that is not of our own sign-in is
// INSUFFICIENT_SCOPE, since no user stands behind it to show anything.
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

// RequireSelf returns the principal of a request about what is the user's own, whatever
// organization the request acts in. For whoever comes on the word of an organization's
// provider alone it is STEP_UP_REQUIRED ([BoundToOrganization]).
func RequireSelf(ctx context.Context) (*Principal, error) {
	p, err := Require(ctx)
	if err == nil && BoundToOrganization(p.Methods) {
		return nil, StepUpRequired()
	}
	return p, err
}

// StepUpRequired is the answer to a call that needs a credential to be shown
// anew.
func StepUpRequired() error {
	return fault.New(faultv1.Reason_REASON_STEP_UP_REQUIRED, "show your password or second factor again")
}

// BoundToOrganization tells whether what was shown to sign in is no more than the word
// of an organization's provider about somebody who has credentials of its own. It is
// believed in that organization, and not of the account: whoever runs the provider is
// not its user.
func BoundToOrganization(methods []string) bool {
	return slices.Contains(methods, MethodOrganization) && !slices.Contains(methods, MethodPassword) && !ShowedFactor(methods)
}

// ShowedFactor tells whether what was shown to sign in holds a second factor.
func ShowedFactor(methods []string) bool {
	return slices.ContainsFunc(methods, func(m string) bool {
		return m == MethodOTP || m == MethodHardwareKey || m == MethodSoftwareKey
	})
}
