package auth_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor/keystub"
)

// passkeyUser is a user with a passkey on a device.
type passkeyUser struct {
	*bundle
	clock *clock.Fake
	email string
	key   *keystub.Key
	// tokens are those that the passkey was registered with.
	tokens     *authv1.TokenResponse
	registered *authv1.FinishPasskeyResponse
}

func setupPasskeyUser(t *testing.T, change ...func(*keystub.Key)) *passkeyUser {
	t.Helper()
	clk := clock.NewFake(time.Now())
	h := &passkeyUser{bundle: setupWith(t, clk, auth.Config{}), clock: clk, email: "ada@example.org"}
	h.tokens, _ = h.signUp(t, h.email)
	h.key = newKey(t)
	for _, c := range change {
		c(h.key)
	}
	h.registered = h.registerPasskey(t, h.tokens, h.key)
	return h
}

func newKey(t *testing.T) *keystub.Key {
	t.Helper()
	key, err := keystub.New(rpctest.Issuer)
	must(t, err)
	return key
}

func (b *bundle) registerPasskey(t *testing.T, tokens *authv1.TokenResponse, key *keystub.Key) *authv1.FinishPasskeyResponse {
	t.Helper()
	asked, err := b.passkeys.BeginPasskey(with(t.Context(), tokens), &authv1.BeginPasskeyRequest{})
	must(t, err)
	answer, err := key.Register(asked.GetPublicKey().AsMap())
	must(t, err)
	out, err := b.passkeys.FinishPasskey(with(t.Context(), tokens), &authv1.FinishPasskeyRequest{
		ChallengeId: asked.GetChallengeId(), Credential: toStruct(t, answer), DisplayName: "Phone",
	})
	must(t, err)
	return out
}

func toStruct(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	out, err := structpb.NewStruct(fields)
	must(t, err)
	return out
}

// beginPasskeySignIn begins a sign-in with a passkey, for a challenge where there is one.
func (b *bundle) beginPasskeySignIn(t *testing.T, challenge string) *authv1.PasskeyCeremony {
	t.Helper()
	asked, err := b.sessions.BeginPasskeySignIn(t.Context(), &authv1.BeginPasskeySignInRequest{MfaChallengeId: challenge})
	must(t, err)
	return asked
}

// signPasskey is what a device answers.
func signPasskey(t *testing.T, key *keystub.Key, asked *authv1.PasskeyCeremony) *authv1.PasskeyAnswer {
	t.Helper()
	answer, err := key.Sign(asked.GetPublicKey().AsMap())
	must(t, err)
	return &authv1.PasskeyAnswer{ChallengeId: asked.GetChallengeId(), Credential: toStruct(t, answer)}
}

func (b *bundle) finishPasskeySignIn(t *testing.T, answer *authv1.PasskeyAnswer) (*authv1.TokenResponse, error) {
	t.Helper()
	return b.sessions.FinishPasskeySignIn(t.Context(), &authv1.FinishPasskeySignInRequest{
		ChallengeId: answer.GetChallengeId(), Credential: answer.GetCredential(),
	})
}

func (b *bundle) wantNotProven(t *testing.T, answer *authv1.PasskeyAnswer) {
	t.Helper()
	_, err := b.finishPasskeySignIn(t, answer)
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
}

func TestAPasskeySignsInAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change  func(*keystub.Key)
		methods []string
	}{
		"bound to its device": {func(*keystub.Key) {}, []string{"hwk", "user", "mfa"}},
		"synced":              {func(k *keystub.Key) { k.Synced = true }, []string{"swk", "user", "mfa"}},
		"without a count":     {func(k *keystub.Key) { k.Count = 0 }, []string{"hwk", "user", "mfa"}},
	} {
		h := setupPasskeyUser(t, tc.change)
		for range 2 {
			tokens, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
			must(t, err)
			p := h.principal(t, tokens)
			if !slices.Equal(p.Methods, tc.methods) || tokens.GetUser().GetEmail() != h.email {
				t.Errorf("%s: signed in with %v as %v", name, p.Methods, tokens.GetUser())
			}
		}
		listed, err := h.passkeys.ListPasskeys(with(t.Context(), h.tokens), &authv1.ListPasskeysRequest{})
		must(t, err)
		if keys := listed.GetPasskeys(); len(keys) != 1 || keys[0].GetDisplayName() != "Phone" || keys[0].GetLastUsedTime() == nil ||
			keys[0].GetSynced() != (tc.methods[0] == "swk") {
			t.Errorf("%s: listed %v", name, keys)
		}
	}
}

func TestAPasskeyIsASecondFactor(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	h.key.Verified = false // the password is the other factor
	challenge := h.signIn(t, h.email).GetMfaChallenge()
	if !slices.Equal(challenge.GetMethods(), []string{"passkey", "recovery_code"}) {
		t.Errorf("the challenge takes %v", challenge.GetMethods())
	}
	tokens, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, challenge.GetId())))
	must(t, err)
	if p := h.principal(t, tokens); !slices.Equal(p.Methods, []string{"pwd", "hwk", "mfa"}) {
		t.Errorf("signed in with %v", p.Methods)
	}
	// The challenge is answered, for codes and for passkeys.
	_, err = h.sessions.BeginPasskeySignIn(t.Context(), &authv1.BeginPasskeySignInRequest{MfaChallengeId: challenge.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	// A recovery code stands in for it, once.
	codes := h.registered.GetRecoveryCodes()
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	for i, want := range []faultv1.Reason{0, faultv1.Reason_REASON_FACTOR_INVALID} {
		_, err = h.sessions.SignInMfa(t.Context(), &authv1.SignInMfaRequest{
			ChallengeId: h.signIn(t, h.email).GetMfaChallenge().GetId(), Code: codes[0],
		})
		if i == 0 {
			must(t, err)
		} else {
			wantReason(t, err, want)
		}
	}
}

func TestS36WrongPasskeysCountAsWrongCodes(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	challenge := h.signIn(t, h.email).GetMfaChallenge().GetId()
	stranger := newKey(t)
	asked := make([]*authv1.PasskeyCeremony, 6)
	for i := range asked {
		asked[i] = h.beginPasskeySignIn(t, challenge)
	}
	for i := range 5 {
		h.wantNotProven(t, signPasskey(t, stranger, asked[i]))
	}
	h.wantNotProven(t, signPasskey(t, h.key, asked[5]))
}

func TestS40AChallengeIsAnsweredOnceAndInTime(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	answer := signPasskey(t, h.key, h.beginPasskeySignIn(t, ""))
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = h.finishPasskeySignIn(t, answer) })
	}
	group.Wait()
	if won := len(errs) - len(slices.DeleteFunc(errs, func(err error) bool { return err == nil })); won != 1 {
		t.Errorf("one answer signed in %d times", won)
	}
	// Wrong answers end it too.
	asked := h.beginPasskeySignIn(t, "")
	h.wantNotProven(t, signPasskey(t, newKey(t), asked))
	h.wantNotProven(t, signPasskey(t, h.key, asked))
	// What another question was asked for is no answer.
	other, mine := signPasskey(t, h.key, h.beginPasskeySignIn(t, "")), h.beginPasskeySignIn(t, "")
	h.wantNotProven(t, &authv1.PasskeyAnswer{ChallengeId: mine.GetChallengeId(), Credential: other.GetCredential()})
	late := h.beginPasskeySignIn(t, "")
	h.clock.Advance(5*time.Minute + time.Second)
	h.wantNotProven(t, signPasskey(t, h.key, late))
	h.wantNotProven(t, signPasskey(t, h.key, &authv1.PasskeyCeremony{ChallengeId: "unknown", PublicKey: late.GetPublicKey()}))
}

func TestS40OriginRelyingPartyAndUserAreChecked(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	for name, spoil := range map[string]func(*keystub.Key){
		"another origin":  func(k *keystub.Key) { k.Origin = "http://evil.test" },
		"a suffix":        func(k *keystub.Key) { k.Origin = rpctest.Issuer + ".evil.test" },
		"another scheme":  func(k *keystub.Key) { k.Origin = strings.Replace(rpctest.Issuer, "http:", "https:", 1) },
		"another port":    func(k *keystub.Key) { k.Origin = rpctest.Issuer + ":8443" },
		"another party":   func(k *keystub.Key) { k.RPID = "evil.test" },
		"no verification": func(k *keystub.Key) { k.Verified = false },
		"another user":    func(k *keystub.Key) { k.UserHandle = []byte(id.New()) },
		"no user":         func(k *keystub.Key) { k.UserHandle = nil },
		"a strange user":  func(k *keystub.Key) { k.UserHandle = []byte("'; DROP TABLE users") },
		"another's flags": func(k *keystub.Key) { k.Synced = true },
	} {
		good := *h.key
		spoil(h.key)
		_, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
		if err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
		}
		count := h.key.Count
		*h.key = good
		h.key.Count = count
	}
	_, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	must(t, err)
}

func TestS40AFallingSignCountIsRefusedAndWrittenDown(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	p := h.principal(t, h.tokens)
	_, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	must(t, err)
	h.key.Count -= 1 // as a copy would that did not sign meanwhile
	h.wantNotProven(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	wantActions(t, h.bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.passkey.created",
		"auth.session.created", "auth.passkey.clone_suspected")
	h.key.Count = 0
	h.wantNotProven(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	h.key.Count = 100
	_, err = h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	must(t, err)
}

func TestS38APasskeyIsNotSkippedEither(t *testing.T) {
	t.Parallel()
	h := setup(t)
	tokens, p := h.signUp(t, "ada@example.org")
	before := h.signIn(t, "ada@example.org")
	h.registerPasskey(t, tokens, newKey(t))
	_, err := h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	refreshed, err := h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	must(t, err)
	if got := h.principal(t, refreshed); got.SessionID != p.SessionID || !identity.ShowedFactor(got.Methods) {
		t.Errorf("the session has shown %v", got.Methods)
	}
	if h.signIn(t, "ada@example.org").GetAccessToken() != "" {
		t.Error("a password alone was enough")
	}
}

func TestS39RemovingAPasskeyNeedsAFactor(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	remove := func(tokens *authv1.TokenResponse, id string) error {
		_, err := h.passkeys.DeletePasskey(with(t.Context(), tokens), &authv1.DeletePasskeyRequest{Id: id})
		return err
	}
	mine := h.registered.GetPasskey().GetId()
	wantReason(t, remove(h.tokens, mine), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err := h.passkeys.BeginPasskey(with(t.Context(), h.tokens), &authv1.BeginPasskeyRequest{})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)

	bob, _ := h.signUp(t, "bob@example.org")
	bobs := newKey(t)
	theirs := h.registerPasskey(t, bob, bobs).GetPasskey().GetId()
	stepUp := func(tokens *authv1.TokenResponse, key *keystub.Key) (*authv1.TokenResponse, error) {
		return h.sessions.StepUp(with(t.Context(), tokens), &authv1.StepUpRequest{
			Credential: &authv1.StepUpRequest_Passkey{Passkey: signPasskey(t, key, h.beginPasskeySignIn(t, ""))},
		})
	}
	_, err = stepUp(h.tokens, bobs)
	wantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	fresh, err := stepUp(h.tokens, h.key)
	must(t, err)
	if got := h.principal(t, fresh); got.SessionID != h.principal(t, h.tokens).SessionID || !slices.Contains(got.Methods, "hwk") {
		t.Errorf("stepped up to %+v", got)
	}
	wantReason(t, remove(fresh, theirs), faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, remove(fresh, id.New()), faultv1.Reason_REASON_NOT_FOUND)
	// A second one comes without recovery codes, and keeps the first ones.
	second := newKey(t)
	if codes := h.registerPasskey(t, fresh, second).GetRecoveryCodes(); len(codes) != 0 {
		t.Errorf("%d new recovery codes", len(codes))
	}
	must(t, remove(fresh, mine))
	h.wantNotProven(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	left, err := h.factors.GetFactors(with(t.Context(), fresh), &authv1.GetFactorsRequest{})
	must(t, err)
	if !slices.Equal(left.GetMethods(), []string{"passkey", "recovery_code"}) {
		t.Errorf("left are %v", left.GetMethods())
	}
}

func TestRegisteringIsForWhomItWasAskedAndOnce(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	bob, _ := h.signUp(t, "bob@example.org")
	eve, _ := h.signUp(t, "eve@example.org")
	asked, err := h.passkeys.BeginPasskey(with(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	must(t, err)
	answer, err := newKey(t).Register(asked.GetPublicKey().AsMap())
	must(t, err)
	finish := func(tokens *authv1.TokenResponse, challenge string, answer map[string]any) error {
		_, err := h.passkeys.FinishPasskey(with(t.Context(), tokens), &authv1.FinishPasskeyRequest{ChallengeId: challenge, Credential: toStruct(t, answer)})
		return err
	}
	wantReason(t, finish(eve, asked.GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	wantReason(t, finish(bob, asked.GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	wantReason(t, finish(bob, h.beginPasskeySignIn(t, "").GetChallengeId(), answer), faultv1.Reason_REASON_FACTOR_INVALID)
	// A key that is registered elsewhere.
	asked, err = h.passkeys.BeginPasskey(with(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	must(t, err)
	answer, err = h.key.Register(asked.GetPublicKey().AsMap())
	must(t, err)
	wantReason(t, finish(bob, asked.GetChallengeId(), answer), faultv1.Reason_REASON_ALREADY_EXISTS)
	asked, err = h.passkeys.BeginPasskey(with(t.Context(), bob), &authv1.BeginPasskeyRequest{})
	must(t, err)
	wantReason(t, finish(bob, asked.GetChallengeId(), map[string]any{"id": "nonsense"}), faultv1.Reason_REASON_FACTOR_INVALID)
}

func TestS18PasskeysNeedAFreshSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now().Add(-8 * time.Minute))
	b := setupWith(t, clk, auth.Config{})
	tokens, _ := b.signUp(t, "ada@example.org")
	clk.Advance(identity.MaxAuthAge + time.Second)
	_, err := b.passkeys.BeginPasskey(with(t.Context(), tokens), &authv1.BeginPasskeyRequest{})
	wantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
}

func TestS16APasskeyOfAnUnconfirmedAddressDoesNotSignIn(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), true)
	p.operator(t)
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	tokens, key := p.signIn(t, "root@example.org"), newKey(t)
	p.registerPasskey(t, tokens, key)
	_, err := p.finishPasskeySignIn(t, signPasskey(t, key, p.beginPasskeySignIn(t, "")))
	must(t, err)
	p.database.AdminExec(t, "UPDATE auth.users SET email_verified = false")
	_, err = p.finishPasskeySignIn(t, signPasskey(t, key, p.beginPasskeySignIn(t, "")))
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
}

func TestASecondFactorMoreLeavesTheOtherSessionsAlone(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	other, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	must(t, err)
	fresh, err := h.finishPasskeySignIn(t, signPasskey(t, h.key, h.beginPasskeySignIn(t, "")))
	must(t, err)
	totp := &factorUser{bundle: h.bundle, clock: h.clock}
	totp.enroll(t, h.email, fresh)
	h.registerPasskey(t, fresh, newKey(t))
	for _, tokens := range []*authv1.TokenResponse{other, h.tokens} {
		_, err = h.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
		must(t, err)
	}
	methods := h.signIn(t, h.email).GetMfaChallenge().GetMethods()
	if !slices.Equal(methods, []string{"totp", "passkey", "recovery_code"}) {
		t.Errorf("the challenge takes %v", methods)
	}
}
