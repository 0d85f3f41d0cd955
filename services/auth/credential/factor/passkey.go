package factor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// The purposes of a ceremony.
	purposeRegister = "register"
	purposeSignIn   = "sign_in"
	purposeFactor   = "factor"

	maxPasskeys        = 20
	defaultPasskeyName = "Passkey"
)

// Passkeys implements the RPCs of passkeys, and verifies them for sign-ins.
//
// The request to a device is stored until the device responds, and deleted then,
// whether the response is right or wrong. The relying party is the host of the public
// URL, and only responses from the origin of the public URL count.
type Passkeys struct {
	authv1.UnsafePasskeyServiceServer

	factors *Service
	// web is nil where the public URL has no name to which a passkey could be bound.
	web *webauthn.WebAuthn
}

// newPasskeys returns the passkeys of a public URL.
func newPasskeys(factors *Service, publicURL string) (*Passkeys, error) {
	host, origin, err := relyingParty(publicURL)
	if err != nil || host == "" {
		return &Passkeys{factors: factors}, err
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: issuer, RPOrigins: []string{origin}, AttestationPreference: protocol.PreferNoAttestation,
	})
	if err != nil {
		return nil, fmt.Errorf("factor: passkeys: %w", err)
	}
	return &Passkeys{factors: factors, web: web}, nil
}

// relyingParty returns the host to which passkeys are bound and the origin at which
// they are used. Both are empty where the URL has only an address, which WebAuthn does
// not allow. A loopback address is called localhost.
func relyingParty(publicURL string) (host, origin string, err error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return "", "", fmt.Errorf("factor: the public URL: %w", err)
	}
	host = u.Hostname()
	if ip := net.ParseIP(host); ip != nil {
		if !ip.IsLoopback() {
			return "", "", nil
		}
		host = "localhost"
	}
	origin = u.Scheme + "://" + host
	if u.Port() != "" {
		origin += ":" + u.Port()
	}
	return host, origin, nil
}

// Available reports whether passkeys can be used in this installation.
func (p *Passkeys) Available() bool { return p.web != nil }

// relyingParty returns the relying party, or the reason why there is none.
func (p *Passkeys) relyingParty() (*webauthn.WebAuthn, error) {
	if p.web == nil {
		return nil, fault.New(faultv1.Reason_REASON_NOT_FOUND, "passkeys need a public URL with a host name")
	}
	return p.web, nil
}

// webauthnUser is a user in the WebAuthn protocol. The id reveals nothing.
type webauthnUser struct {
	id, email, displayName string
	keys                   []webauthn.Credential
}

// WebAuthnID implements [webauthn.User].
func (p webauthnUser) WebAuthnID() []byte { return []byte(p.id) }

// WebAuthnName implements [webauthn.User].
func (p webauthnUser) WebAuthnName() string { return p.email }

// WebAuthnDisplayName implements [webauthn.User].
func (p webauthnUser) WebAuthnDisplayName() string { return p.displayName }

// WebAuthnCredentials implements [webauthn.User].
func (p webauthnUser) WebAuthnCredentials() []webauthn.Credential { return p.keys }

// begin stores a request to a device until the device responds.
func (p *Passkeys) begin(ctx context.Context, purpose string, challengeHash []byte, state *webauthn.SessionData, options any) (*authv1.PasskeyCeremony, error) {
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, unreadable(err)
	}
	publicKey := &structpb.Struct{}
	if err := publicKey.UnmarshalJSON(raw); err != nil {
		return nil, unreadable(err)
	}
	stored, err := json.Marshal(state)
	if err != nil {
		return nil, unreadable(err)
	}
	id, hash := newChallenge()
	err = p.factors.deps.Store.insertCeremony(ctx, hash, ceremony{
		purpose: purpose, challengeHash: challengeHash, state: string(stored),
	}, p.factors.deps.Clock.Now().Add(challengeTTL))
	if err != nil {
		return nil, err
	}
	return &authv1.PasskeyCeremony{ChallengeId: id, PublicKey: publicKey}, nil
}

// ceremony is a request to a device, with its purpose and the hash of the sign-in's
// challenge.
type ceremony struct {
	purpose       string
	challengeHash []byte
	state         string
}

func (c ceremony) session() (webauthn.SessionData, error) {
	var state webauthn.SessionData
	if err := json.Unmarshal([]byte(c.state), &state); err != nil {
		return state, unreadable(err)
	}
	return state, nil
}

// provenMethods returns the methods that a passkey's signature proves, as values of the amr
// claim.
func provenMethods(flags protocol.AuthenticatorFlags) []string {
	method := identity.MethodHardwareKey
	if flags.HasBackupEligible() {
		method = identity.MethodSoftwareKey
	}
	if flags.HasUserVerified() {
		return []string{method, identity.MethodUser}
	}
	return []string{method}
}

// notProven is the one response to anything that is wrong with the response of a
// passkey. The cause is logged.
func notProven(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_FACTOR_INVALID, "the passkey was refused, or its challenge has expired")
}

func unreadable(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_INTERNAL, "a passkey cannot be read")
}
