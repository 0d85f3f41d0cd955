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
	// What a ceremony is for.
	purposeRegister = "register"
	purposeSignIn   = "sign_in"
	purposeFactor   = "factor"

	maxPasskeys        = 20
	defaultPasskeyName = "Passkey"
)

// Passkeys implements the RPCs of passkeys, and judges them for sign-ins.
//
// What a device is asked to sign rests in the database until it answers, and goes
// with the answer, right or wrong. The relying party is the public URL's host,
// and an answer counts only from the public URL's own origin.
type Passkeys struct {
	authv1.UnsafePasskeyServiceServer

	factors *Service
	// web is nil where the public URL has no name that a passkey could be bound to.
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

// relyingParty returns the name that passkeys are bound to and the origin that
// they are used at; empty where the URL has an address alone, which WebAuthn does
// not take. A machine's address of itself is called localhost.
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

// Available tells whether passkeys can be used here.
func (p *Passkeys) Available() bool { return p.web != nil }

// relyingParty returns the relying party, or says why there is none.
func (p *Passkeys) relyingParty() (*webauthn.WebAuthn, error) {
	if p.web == nil {
		return nil, fault.New(faultv1.Reason_REASON_NOT_FOUND, "passkeys need a public URL with a name instead of an address")
	}
	return p.web, nil
}

// webauthnUser is a user as the protocol sees one: by its id, which says nothing.
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

// begin keeps what a device is asked until it answers.
func (p *Passkeys) begin(ctx context.Context, purpose string, challengeHash []byte, state *webauthn.SessionData, options any) (*authv1.PasskeyCeremony, error) {
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, unreadable(err)
	}
	publicKey := &structpb.Struct{}
	if err := publicKey.UnmarshalJSON(raw); err != nil {
		return nil, unreadable(err)
	}
	kept, err := json.Marshal(state)
	if err != nil {
		return nil, unreadable(err)
	}
	id, hash := newChallenge()
	err = p.factors.deps.Store.insertCeremony(ctx, hash, ceremony{
		purpose: purpose, challengeHash: challengeHash, state: string(kept),
	}, p.factors.deps.Clock.Now().Add(challengeTTL))
	if err != nil {
		return nil, err
	}
	return &authv1.PasskeyCeremony{ChallengeId: id, PublicKey: publicKey}, nil
}

// ceremony is what a device was asked, for what, and for which sign-in.
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

// shown is what a passkey's signature shows, as the amr claim says it.
func shown(flags protocol.AuthenticatorFlags) []string {
	method := identity.MethodHardwareKey
	if flags.HasBackupEligible() {
		method = identity.MethodSoftwareKey
	}
	if flags.HasUserVerified() {
		return []string{method, identity.MethodUser}
	}
	return []string{method}
}

// notProven is the one answer to whatever is wrong with a passkey's answer; the
// cause is for the log.
func notProven(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_FACTOR_INVALID, "the passkey was refused, or its challenge has ended")
}

func unreadable(cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_INTERNAL, "a passkey cannot be read")
}
