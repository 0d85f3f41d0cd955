package factor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// passkey is a passkey as its user sees it.
type passkey struct {
	id, displayName string
	synced          bool
	created         time.Time
	lastUsed        *time.Time
}

// BeginPasskey implements the RPC.
func (p *Passkeys) BeginPasskey(ctx context.Context, _ *authv1.BeginPasskeyRequest) (*authv1.PasskeyCeremony, error) {
	web, err := p.relyingParty()
	if err != nil {
		return nil, err
	}
	caller, has, err := p.factors.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	if has.passkeys >= maxPasskeys {
		return nil, fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "there are %d passkeys; remove one first", maxPasskeys)
	}
	owner, err := p.webauthnUser(ctx, caller)
	if err != nil {
		return nil, err
	}
	options, state, err := web.BeginRegistration(owner,
		webauthn.WithExclusions(webauthn.Credentials(owner.keys).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			// To sign in alone, it must be found without the user's id.
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationPreferred,
		}))
	if err != nil {
		return nil, unreadable(err)
	}
	return p.begin(ctx, purposeRegister, nil, state, options.Response)
}

// webauthnUser returns the caller with its passkeys.
func (p *Passkeys) webauthnUser(ctx context.Context, caller *identity.Principal) (owner webauthnUser, err error) {
	store := p.factors.deps.Store
	err = store.inTx(ctx, caller.OrganizationID, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		u, err := p.factors.deps.Users.Get(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		owner = webauthnUser{id: u.ID, email: u.Email, displayName: u.DisplayName}
		owner.keys, err = store.passkeys(ctx, tx, caller.UserID)
		return err
	})
	return owner, err
}

// FinishPasskey implements the RPC.
func (p *Passkeys) FinishPasskey(ctx context.Context, req *authv1.FinishPasskeyRequest) (*authv1.FinishPasskeyResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	out := &authv1.FinishPasskeyResponse{}
	var refusal error
	err = p.factors.deps.Store.inTx(ctx, caller.OrganizationID, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		var key *webauthn.Credential
		var methods []string
		if key, methods, refusal, err = p.verifyNew(ctx, tx, caller.UserID, req); refusal != nil || err != nil {
			return err
		}
		k := passkey{
			id: id.New(), displayName: strings.TrimSpace(req.GetDisplayName()), synced: key.Flags.BackupEligible,
			created: clock.Stamp(p.factors.deps.Clock),
		}
		if k.displayName == "" {
			k.displayName = defaultPasskeyName
		}
		out.Passkey = encodePasskey(k)
		out.RecoveryCodes, err = p.register(ctx, tx, caller, k, key, methods)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, fault.From(err) // a refusal is returned after the transaction, which deleted the request
	}
	return out, nil
}

// verifyNew verifies a new passkey.
func (p *Passkeys) verifyNew(ctx context.Context, tx postgres.Tx, userID string, req *authv1.FinishPasskeyRequest) (key *webauthn.Credential, methods []string, refusal, err error) {
	requested, refusal, err := p.takeCeremony(ctx, tx, req.GetChallengeId(), purposeRegister)
	if refusal != nil || err != nil {
		return nil, nil, refusal, err
	}
	state, err := requested.session()
	if err != nil {
		return nil, nil, nil, err
	}
	raw, err := req.GetCredential().MarshalJSON()
	if err != nil {
		return nil, nil, notProven(err), nil
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes(raw)
	if err != nil {
		return nil, nil, notProven(err), nil
	}
	key, err = p.web.CreateCredential(webauthnUser{id: userID}, state, answer) // compares the user too
	if err != nil {
		return nil, nil, notProven(err), nil
	}
	return key, provenMethods(answer.Response.AttestationObject.AuthData.Flags), nil, nil
}

// register stores a new passkey. With the first factor it creates recovery codes.
func (p *Passkeys) register(ctx context.Context, tx postgres.Tx, caller *identity.Principal, k passkey, key *webauthn.Credential, methods []string) (recovery []string, err error) {
	store := p.factors.deps.Store
	has, err := store.enrolledIn(ctx, tx, caller.UserID)
	if err != nil {
		return nil, err
	}
	if err := store.insertPasskey(ctx, tx, caller.UserID, p.web.Config.RPID, k, key); err != nil {
		return nil, err
	}
	if !has.any() {
		var hashes [][]byte
		recovery, hashes = newRecoveryCodes()
		if err := store.putRecoveryCodes(ctx, tx, caller.UserID, hashes); err != nil {
			return nil, err
		}
	}
	if err := p.record(ctx, tx, caller, k.id, "auth.passkey.created"); err != nil {
		return nil, err
	}
	return recovery, p.factors.enroll(ctx, tx, caller, !has.any(), methods...)
}

func (p *Passkeys) record(ctx context.Context, tx postgres.Tx, caller *identity.Principal, id, action string) error {
	return p.factors.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: caller.OrganizationID, ActorID: caller.UserID, Action: action, ResourceType: "passkey", ResourceID: id,
	})
}

// ListPasskeys implements the RPC.
func (p *Passkeys) ListPasskeys(ctx context.Context, req *authv1.ListPasskeysRequest) (*authv1.ListPasskeysResponse, error) {
	caller, err := identity.RequireSelf(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := p.factors.deps.Store.listPasskeys(ctx, caller.UserID, paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &authv1.ListPasskeysResponse{NextPageToken: next}
	for _, item := range items {
		out.Passkeys = append(out.Passkeys, encodePasskey(item))
	}
	return out, nil
}

// DeletePasskey implements the RPC.
func (p *Passkeys) DeletePasskey(ctx context.Context, req *authv1.DeletePasskeyRequest) (*authv1.DeletePasskeyResponse, error) {
	caller, _, err := p.factors.requireFactor(ctx)
	if err != nil {
		return nil, err
	}
	store := p.factors.deps.Store
	err = store.inTx(ctx, caller.OrganizationID, caller.UserID, func(ctx context.Context, tx postgres.Tx) error {
		// Concurrent removals of credentials wait here.
		if err := p.factors.deps.Users.LockExclusive(ctx, tx, caller.UserID); err != nil {
			return err
		}
		found, err := store.deletePasskey(ctx, tx, caller.UserID, req.GetId())
		if err != nil {
			return err
		}
		if !found {
			return fault.NotFound("passkey")
		}
		signsIn, err := store.signsIn(ctx, tx, caller.UserID)
		if err != nil {
			return err
		}
		if !signsIn {
			return fault.New(faultv1.Reason_REASON_LAST_CREDENTIAL, "nothing else signs you in: choose a password, or link a provider first")
		}
		if err := store.dropUselessCodes(ctx, tx, caller.UserID); err != nil {
			return err
		}
		if err := p.factors.notify(ctx, tx, caller.UserID, mailRemoved); err != nil {
			return err
		}
		return p.record(ctx, tx, caller, req.GetId(), "auth.passkey.deleted")
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeletePasskeyResponse{}, nil
}
