package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
)

// S3, S76: a service's token is good for the one callee that it names.
func TestServiceTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, err := rpcclient.ServiceSecret(pgtest.SecretKey(), "gateway")
	must(t, err)
	issue := func(client, secret, audience string) (string, error) {
		out, err := b.serviceTokens.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{
			ClientId: client, ClientSecret: secret, Audience: audience,
		})
		return out.GetAccessToken(), err
	}
	token, err := issue("gateway", secret, "auth")
	must(t, err)
	if service, err := b.verifier.Service(t.Context(), token); err != nil || service.Name != "gateway" {
		t.Errorf("verified as %v, %v", service, err)
	}
	if _, err := b.verifier.Access(t.Context(), token); err == nil {
		t.Error("a service token passed as an access token")
	}
	other, err := issue("gateway", secret, "chat")
	must(t, err)
	if _, err := b.verifier.Service(t.Context(), other); err == nil {
		t.Error("a token for chat passed at auth")
	}
	for _, c := range [][2]string{{"gateway", secret + "x"}, {"chat", secret}, {"stranger", secret}} {
		_, err := issue(c[0], c[1], "auth")
		wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	}
	_, err = issue("gateway", secret, "elsewhere")
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
}

// S7: the key that signs next is published already.
func TestPublishedKeysVerifyTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, p := b.signUp(t, "ada@example.org")
	set, err := b.keys.GetJwks(t.Context(), &authv1.GetJwksRequest{})
	must(t, err)
	if len(set.GetKeys()) != 2 {
		t.Errorf("published %d keys, want the current and the next", len(set.GetKeys()))
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: rpctest.Issuer, Service: "chat"},
		identity.NewKeys(authclient.Keys(b.conn), clock.System()), clock.System())
	must(t, err)
	if got, err := verifier.Access(t.Context(), tokens.GetAccessToken()); err != nil || got.UserID != p.UserID {
		t.Errorf("verified as %v, %v", got, err)
	}
}

func TestRunMakesKeysSweepsAndEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, "ada@example.org")
	old := b.principal(t, b.signIn(t, "ada@example.org"))
	b.database.AdminExec(t, "UPDATE auth.sessions SET expires_at = now() - interval '1 hour' WHERE id = '"+old.SessionID+"'")
	b.database.AdminExec(t, "DELETE FROM auth.signing_keys")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.service.Run(ctx) }()
	const state = `SELECT (SELECT count(*) FROM auth.signing_keys) || ' keys, ' || (SELECT count(*) FROM auth.sessions) ||
		' sessions, ' || (SELECT count(*) FROM auth.refresh_tokens) || ' tokens'`
	for adminText(t, b, state) != "2 keys, 1 sessions, 1 tokens" {
		must(t, clock.Sleep(ctx, clock.System(), 10*time.Millisecond))
	}
	cancel()
	must(t, <-done)
}

func TestConfigAndDependenciesAreChecked(t *testing.T) {
	t.Parallel()
	good := auth.Config{Issuer: rpctest.Issuer, SecretKey: pgtest.SecretKey(), PasswordWait: time.Second}
	must(t, good.Validate())
	for name, spoil := range map[string]func(*auth.Config){
		"issuer":   func(c *auth.Config) { c.Issuer = "" },
		"secret":   func(c *auth.Config) { c.SecretKey = []byte("short") },
		"wait":     func(c *auth.Config) { c.PasswordWait = 0 },
		"lone":     func(c *auth.Config) { c.AdminEmail = "root@example.org" },
		"password": func(c *auth.Config) { c.AdminEmail, c.AdminPassword = "root@example.org", "password12345" },
	} {
		bad := good
		spoil(&bad)
		if bad.Validate() == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
	if _, err := auth.New(good, auth.Deps{}); err == nil {
		t.Error("built without dependencies")
	}
}
