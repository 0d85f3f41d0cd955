package browser_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/freeport"
)

// product is the whole product at a host name, which passkeys need.
type product struct {
	*inprocess.Installation
	// origin is the address that browsers use.
	origin string
}

func start(t *testing.T) *product {
	t.Helper()
	return startWith(t, func(string) map[string]string { return nil })
}

// startWith is like start with additional settings, which may depend on the origin.
func startWith(t *testing.T, more func(origin string) map[string]string) *product {
	t.Helper()
	// The public URL has the port, so the port is chosen before the gateway listens.
	address, err := freeport.Address(t.Context())
	must(t, err)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	p := &product{origin: "http://localhost:" + port}
	settings := map[string]string{"GATEHOUSE_GATEWAY_ADDR": address, "GATEHOUSE_PUBLIC_URL": p.origin}
	maps.Copy(settings, more(p.origin))
	p.Installation = inprocess.Start(t, settings)
	return p
}

const password = inprocess.AdminPassword + " too" // of users that SignUp creates

// tokens is the response of a sign-in.
type tokens struct {
	AccessToken  string
	MfaChallenge *struct {
		ID      string
		Methods []string
	}
}

// methods returns the sign-in methods in the access token.
func (s tokens) methods(t *testing.T) []string {
	t.Helper()
	parts := strings.Split(s.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", s.AccessToken)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct{ AMR []string }
	must(t, json.Unmarshal(raw, &claims))
	return claims.AMR
}

// post sends a request, which must succeed.
func (p *product) post(t *testing.T, s inprocess.Session, path string, body, into any) {
	t.Helper()
	inprocess.Decode(t, p.Request(t, s, http.MethodPost, path, body), into)
}

// postRefused sends a request, which must be refused, and returns the reason.
func (p *product) postRefused(t *testing.T, s inprocess.Session, path string, body any, status int) string {
	t.Helper()
	resp := p.Request(t, s, http.MethodPost, path, body)
	defer resp.Body.Close()
	var problem struct{ Reason string }
	must(t, json.NewDecoder(resp.Body).Decode(&problem))
	if resp.StatusCode != status {
		t.Errorf("%s: %d %s, want %d", path, resp.StatusCode, problem.Reason, status)
	}
	return problem.Reason
}

func (p *product) signIn(t *testing.T, email string) tokens {
	t.Helper()
	var out tokens
	p.post(t, inprocess.Session{}, "/v1/auth/sign-in", map[string]any{"email": email, "password": password}, &out)
	return out
}

// deviceRequest is what an authenticator must sign.
type deviceRequest struct {
	ChallengeID string
	PublicKey   json.RawMessage
}

func (a deviceRequest) withCredential(credential json.RawMessage) map[string]any {
	return map[string]any{"challengeId": a.ChallengeID, "credential": credential}
}

const (
	createCredential = `navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(%s)}).then(c => c.toJSON())`
	getCredential    = `navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(%s)}).then(c => c.toJSON())`
)

// register registers a passkey of a user in the browser.
func (p *product) register(t *testing.T, c *chromium, s inprocess.Session) (recoveryCodes []string) {
	t.Helper()
	var a deviceRequest
	p.post(t, s, "/v1/me/passkeys:begin", map[string]any{}, &a)
	var credential json.RawMessage
	c.eval(fmt.Sprintf(createCredential, a.PublicKey), &credential)
	body := a.withCredential(credential)
	body["displayName"] = "Laptop"
	var out struct {
		Passkey       struct{ ID, DisplayName string }
		RecoveryCodes []string
	}
	p.post(t, s, "/v1/me/passkeys:finish", body, &out)
	if out.Passkey.ID == "" || out.Passkey.DisplayName != "Laptop" {
		t.Errorf("registered %+v", out.Passkey)
	}
	return out.RecoveryCodes
}

// sign signs in with the passkey of the browser. An empty challenge means without a password.
func (p *product) sign(t *testing.T, c *chromium, challenge string) map[string]any {
	t.Helper()
	var a deviceRequest
	p.post(t, inprocess.Session{}, "/v1/auth/passkeys:begin", map[string]any{"mfaChallengeId": challenge}, &a)
	var credential json.RawMessage
	c.eval(fmt.Sprintf(getCredential, a.PublicKey), &credential)
	return a.withCredential(credential)
}

func TestS40ChromiumRegistersAPasskeyAndSignsIn(t *testing.T) {
	t.Parallel()
	p, c := start(t), openChromium(t)
	c.visit(p.origin + "/version")
	device := c.authenticator(true)
	ada := p.SignUp(t, "ada@example.com")
	if codes := p.register(t, c, ada); len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}

	// Sign in with the passkey alone.
	answer := p.sign(t, c, "")
	var alone tokens
	p.post(t, inprocess.Session{}, "/v1/auth/passkeys:finish", answer, &alone)
	if got := alone.methods(t); !slices.Contains(got, "user") || !slices.Contains(got, "mfa") {
		t.Errorf("signed in by %v", got)
	}
	var me struct{ ID string }
	p.Get(t, inprocess.Session{AccessToken: alone.AccessToken}, "/v1/me", &me)
	if me.ID != ada.UserID {
		t.Errorf("signed in as %s, want %s", me.ID, ada.UserID)
	}
	if reason := p.postRefused(t, inprocess.Session{}, "/v1/auth/passkeys:finish", answer, http.StatusUnauthorized); reason != "FACTOR_INVALID" {
		t.Errorf("the same signature again: %s", reason)
	}

	// Use the passkey as the second factor.
	half := p.signIn(t, "ada@example.com")
	if half.AccessToken != "" || half.MfaChallenge == nil || !slices.Contains(half.MfaChallenge.Methods, "passkey") {
		t.Fatalf("a password alone: %+v", half)
	}
	var whole tokens
	p.post(t, inprocess.Session{}, "/v1/auth/passkeys:finish", p.sign(t, c, half.MfaChallenge.ID), &whole)
	if got := whole.methods(t); !slices.Contains(got, "pwd") || !slices.Contains(got, "mfa") {
		t.Errorf("signed in by %v", got)
	}

	// Use the passkey to step up.
	var fresh tokens
	p.post(t, inprocess.Session{AccessToken: whole.AccessToken}, "/v1/auth/step-up", map[string]any{"passkey": p.sign(t, c, "")}, &fresh)

	// An authenticator that does not verify its user cannot be the only factor.
	c.call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": false}, nil)
	var a deviceRequest
	p.post(t, inprocess.Session{}, "/v1/auth/passkeys:begin", map[string]any{}, &a)
	if thrown := c.tryEval(fmt.Sprintf(getCredential, a.PublicKey), nil); !strings.Contains(thrown, "NotAllowedError") {
		t.Errorf("the authenticator returned: %q", thrown)
	}
}

func TestS40PasskeySignatureForAnotherOriginIsRefused(t *testing.T) {
	t.Parallel()
	p, elsewhere, c := start(t), start(t), openChromium(t)
	c.visit(p.origin + "/version")
	c.authenticator(true)
	p.register(t, c, p.SignUp(t, "ada@example.com"))
	// The same host name with another port is another origin. The browser still allows a page of
	// that origin to use the passkey.
	c.visit(elsewhere.origin + "/version")
	if reason := p.postRefused(t, inprocess.Session{}, "/v1/auth/passkeys:finish", p.sign(t, c, ""), http.StatusUnauthorized); reason != "FACTOR_INVALID" {
		t.Errorf("from another origin: %s", reason)
	}
}
