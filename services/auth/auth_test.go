package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestRun_CreatesKeysDeletesExpiredRowsAndStops(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	b.SignUp(t, "ada@example.org")
	old := b.Principal(t, b.SignIn(t, "ada@example.org"))
	b.Database.AdminExec(t, "UPDATE auth.sessions SET expires_at = now() - interval '1 hour' WHERE id = '"+old.SessionID+"'")
	b.Database.AdminExec(t, "DELETE FROM auth.signing_keys")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Service.Run(ctx) }()
	const state = `SELECT (SELECT count(*) FROM auth.signing_keys) || ' keys, ' || (SELECT count(*) FROM auth.sessions) ||
		' sessions, ' || (SELECT count(*) FROM auth.refresh_tokens) || ' tokens'`
	for authtest.AdminText(t, b, state) != "2 keys, 1 sessions, 1 tokens" {
		authtest.Must(t, clock.Sleep(ctx, clock.System(), 10*time.Millisecond))
	}
	cancel()
	authtest.Must(t, <-done)
}

func TestNew_InvalidConfigOrMissingDependency_IsRefused(t *testing.T) {
	t.Parallel()
	good := auth.Config{Issuer: rpctest.Issuer, SecretKey: pgtest.SecretKey(), Settings: auth.Settings{PasswordWait: time.Second, InvitationsPerDay: 1}}
	authtest.Must(t, good.Validate())
	for name, change := range map[string]func(*auth.Config){
		"issuer":   func(c *auth.Config) { c.Issuer = "" },
		"secret":   func(c *auth.Config) { c.SecretKey = []byte("short") },
		"wait":     func(c *auth.Config) { c.PasswordWait = 0 },
		"lone":     func(c *auth.Config) { c.AdminEmail = "root@example.org" },
		"password": func(c *auth.Config) { c.AdminEmail, c.AdminPassword = "root@example.org", "password12345" },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
	if _, err := auth.New(good, auth.Deps{}); err == nil {
		t.Error("New accepted missing dependencies")
	}
}
