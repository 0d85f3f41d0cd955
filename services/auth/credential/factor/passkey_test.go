package factor_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/credential/factor/keystub"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// passkeyUser is a user with a passkey on a device.
type passkeyUser struct {
	*authtest.Bundle
	clock *clock.Fake
	email string
	key   *keystub.Key
	// tokens are those with which the passkey was registered.
	tokens     *authv1.TokenResponse
	registered *authv1.FinishPasskeyResponse
}

func setupPasskeyUser(t *testing.T, change ...func(*keystub.Key)) *passkeyUser {
	t.Helper()
	clk := clock.NewFake(time.Now())
	h := &passkeyUser{Bundle: authtest.SetupWith(t, clk, auth.Config{}), clock: clk, email: "ada@example.org"}
	h.tokens, _ = h.SignUp(t, h.email)
	h.key = authtest.NewPasskey(t)
	for _, c := range change {
		c(h.key)
	}
	h.registered = h.RegisterPasskey(t, h.tokens, h.key)
	return h
}

func TestPasskey_SignsInAlone(t *testing.T) {
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
			tokens, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
			authtest.Must(t, err)
			p := h.Principal(t, tokens)
			if !slices.Equal(p.Methods, tc.methods) || tokens.GetUser().GetEmail() != h.email {
				t.Errorf("%s: signed in with %v as %v", name, p.Methods, tokens.GetUser())
			}
		}
		listed, err := h.Passkeys.ListPasskeys(authtest.With(t.Context(), h.tokens), &authv1.ListPasskeysRequest{})
		authtest.Must(t, err)
		if keys := listed.GetPasskeys(); len(keys) != 1 || keys[0].GetDisplayName() != "Phone" || keys[0].GetLastUsedTime() == nil ||
			keys[0].GetSynced() != (tc.methods[0] == "swk") {
			t.Errorf("%s: listed %v", name, keys)
		}
	}
}

func TestPasskey_IsSecondFactor(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	h.key.Verified = false // the password is the other factor
	challenge := h.SignIn(t, h.email).GetMfaChallenge()
	if !slices.Equal(challenge.GetMethods(), []string{"passkey", "recovery_code"}) {
		t.Errorf("the challenge accepts %v", challenge.GetMethods())
	}
	tokens, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, challenge.GetId())))
	authtest.Must(t, err)
	if p := h.Principal(t, tokens); !slices.Equal(p.Methods, []string{"pwd", "hwk", "mfa"}) {
		t.Errorf("signed in with %v", p.Methods)
	}
	// The challenge is used up, for codes and for passkeys.
	_, err = h.Sessions.BeginPasskeySignIn(t.Context(), &authv1.BeginPasskeySignInRequest{MfaChallengeId: challenge.GetId()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
	// A recovery code replaces the passkey, once.
	codes := h.registered.GetRecoveryCodes()
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	for i, want := range []faultv1.Reason{0, faultv1.Reason_REASON_FACTOR_INVALID} {
		_, err = h.Sessions.SignInMfa(t.Context(), &authv1.SignInMfaRequest{
			ChallengeId: h.SignIn(t, h.email).GetMfaChallenge().GetId(), Code: codes[0],
		})
		if i == 0 {
			authtest.Must(t, err)
		} else {
			authtest.WantReason(t, err, want)
		}
	}
}

func TestS36WrongPasskeysCountAsWrongCodes(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	challenge := h.SignIn(t, h.email).GetMfaChallenge().GetId()
	outsider := authtest.NewPasskey(t)
	ceremony := make([]*authv1.PasskeyCeremony, 6)
	for i := range ceremony {
		ceremony[i] = h.BeginPasskeySignIn(t, challenge)
	}
	for i := range 5 {
		h.WantPasskeyRefused(t, authtest.SignPasskey(t, outsider, ceremony[i]))
	}
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, ceremony[5]))
}

func TestS40CeremonyWorksOnceAndInTime(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	answer := authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, ""))
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = h.FinishPasskeySignIn(t, answer) })
	}
	group.Wait()
	if won := len(errs) - len(slices.DeleteFunc(errs, func(err error) bool { return err == nil })); won != 1 {
		t.Errorf("one response signed in %d times", won)
	}
	// A wrong response uses it up too.
	ceremony := h.BeginPasskeySignIn(t, "")
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, authtest.NewPasskey(t), ceremony))
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, ceremony))
	// A response to a ceremony of another purpose is refused.
	other, own := authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")), h.BeginPasskeySignIn(t, "")
	h.WantPasskeyRefused(t, &authv1.PasskeyAnswer{ChallengeId: own.GetChallengeId(), Credential: other.GetCredential()})
	late := h.BeginPasskeySignIn(t, "")
	h.clock.Advance(5*time.Minute + time.Second)
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, late))
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, &authv1.PasskeyCeremony{ChallengeId: "unknown", PublicKey: late.GetPublicKey()}))
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
		"a outside user":  func(k *keystub.Key) { k.UserHandle = []byte("'; DROP TABLE users") },
		"another's flags": func(k *keystub.Key) { k.Synced = true },
	} {
		good := *h.key
		spoil(h.key)
		_, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
		if err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			authtest.WantReason(t, err, faultv1.Reason_REASON_FACTOR_INVALID)
		}
		count := h.key.Count
		*h.key = good
		h.key.Count = count
	}
	_, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
}

func TestS40FallingSignCountIsRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	h := setupPasskeyUser(t)
	p := h.Principal(t, h.tokens)
	_, err := h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
	h.key.Count -= 1 // as a copy that did not sign since
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.WantActions(t, h.Bundle, p.OrganizationID, "auth.user.created", "auth.session.created", "auth.passkey.created",
		"auth.session.created", "auth.passkey.clone_suspected")
	h.key.Count = 0
	h.WantPasskeyRefused(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	h.key.Count = 100
	_, err = h.FinishPasskeySignIn(t, authtest.SignPasskey(t, h.key, h.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
}

func TestS38EnrolledPasskeyIsAlwaysRequired(t *testing.T) {
	t.Parallel()
	h := authtest.Setup(t)
	tokens, p := h.SignUp(t, "ada@example.org")
	before := h.SignIn(t, "ada@example.org")
	h.RegisterPasskey(t, tokens, authtest.NewPasskey(t))
	_, err := h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: before.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	refreshed, err := h.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: tokens.GetRefreshToken()})
	authtest.Must(t, err)
	if got := h.Principal(t, refreshed); got.SessionID != p.SessionID || !identity.ShowedFactor(got.Methods) {
		t.Errorf("the session has used %v", got.Methods)
	}
	if h.SignIn(t, "ada@example.org").GetAccessToken() != "" {
		t.Error("a password alone was accepted")
	}
}

func TestS16PasskeyOfUnconfirmedAddressCannotSignIn(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), true)
	p.Operator(t)
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = true")
	tokens, key := p.SignIn(t, "root@example.org"), authtest.NewPasskey(t)
	p.RegisterPasskey(t, tokens, key)
	_, err := p.FinishPasskeySignIn(t, authtest.SignPasskey(t, key, p.BeginPasskeySignIn(t, "")))
	authtest.Must(t, err)
	p.Database.AdminExec(t, "UPDATE auth.users SET email_verified = false")
	_, err = p.FinishPasskeySignIn(t, authtest.SignPasskey(t, key, p.BeginPasskeySignIn(t, "")))
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
}
