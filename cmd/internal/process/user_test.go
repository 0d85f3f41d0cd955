package process_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
)

func TestCreateUser_NewAddress_CanSignIn(t *testing.T) {
	t.Parallel()
	product := inprocess.Start(t, nil)
	s, err := settings.Load(map[string]string{
		"GATEHOUSE_DATABASE_URL": product.Database.AdminURL,
		"GATEHOUSE_SECRET_KEY":   base64.StdEncoding.EncodeToString(product.Database.SecretKey),
		"GATEHOUSE_DATA_DIR":     t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	create := func(u auth.NewUser) (string, error) {
		var out bytes.Buffer
		err := process.CreateUser(t.Context(), s, "test", u, &out, io.Discard)
		return out.String(), err
	}

	output, err := create(auth.NewUser{Email: "ada@example.com", Operator: true})
	if err != nil {
		t.Fatal(err)
	}
	password, _, shown := strings.Cut(strings.TrimPrefix(output, "ada@example.com can sign in with the password "), " ")
	if !shown {
		t.Fatalf("output %q", output)
	}
	if roles := rolesOf(t, product, "ada@example.com", password); !slices.Contains(roles, "operator") {
		t.Errorf("the operator's roles are %v", roles)
	}

	const phrase = "a phrase of her own choice"
	output, err = create(auth.NewUser{Email: "bea@example.com", Password: phrase, DisplayName: "Bea"})
	if err != nil || strings.Contains(output, phrase) {
		t.Errorf("output %q, %v", output, err)
	}
	if roles := rolesOf(t, product, "bea@example.com", phrase); !slices.Equal(roles, []string{"owner"}) {
		t.Errorf("a user's roles are %v", roles)
	}

	for want, u := range map[faultv1.Reason]auth.NewUser{
		faultv1.Reason_REASON_EMAIL_TAKEN:      {Email: "ADA@example.com"},
		faultv1.Reason_REASON_INVALID_ARGUMENT: {Email: "Ada <ada@example.org>"},
	} {
		if output, err := create(u); !fault.Is(err, want) || output != "" {
			t.Errorf("%s: output %q, %v; want %s", u.Email, output, err, want)
		}
	}
	if output, err := create(auth.NewUser{Email: "eve@example.com", Password: "short"}); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
		t.Errorf("a short password: output %q, %v", output, err)
	}
}

func rolesOf(t *testing.T, product *inprocess.Installation, email, password string) []string {
	t.Helper()
	var pair struct{ AccessToken string }
	inprocess.Decode(t, product.Request(t, inprocess.Session{}, "POST", "/v1/auth/sign-in",
		map[string]string{"email": email, "password": password}), &pair)
	var me struct{ Roles []string }
	product.Get(t, inprocess.Session{AccessToken: pair.AccessToken}, "/v1/me", &me)
	return me.Roles
}

// When a signing key cannot be used, the start fails with an error that names the key and what to
// do. After that, the start succeeds.
func TestServe_AlteredSigningKey_FailsWithAdvice(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s, err := settings.Load(map[string]string{
		"GATEHOUSE_DATABASE_URL":   database.AdminURL,
		"GATEHOUSE_SECRET_KEY":     base64.StdEncoding.EncodeToString(database.SecretKey),
		"GATEHOUSE_DATA_DIR":       t.TempDir(),
		"GATEHOUSE_GATEWAY_ADDR":   "127.0.0.1:0",
		"GATEHOUSE_OPS_ADDR":       "127.0.0.1:0",
		"GATEHOUSE_ADMIN_PASSWORD": inprocess.AdminPassword,
		"GATEHOUSE_LOG_LEVEL":      "error",
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first start on a database creates the keys.
	start := func() error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// Serve writes to its output when it has started.
		return process.Serve(ctx, s, "test", stopper(cancel), io.Discard)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	database.AdminExec(t, "UPDATE auth.signing_keys SET sealed_private = ''")
	err = start()
	if err == nil {
		t.Fatal("started with keys that cannot be unsealed")
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if _, kid, ok := strings.Cut(line, "gatehouse keys discard "); ok {
			if err := process.DiscardKey(t.Context(), s, "test", kid, io.Discard, io.Discard); err != nil {
				t.Errorf("following the advice: %v", err)
			}
		}
	}
	if err := start(); err != nil {
		t.Errorf("after following the advice: %v", err)
	}
}

// stopper is a writer that calls a function at each write.
type stopper func()

// Write implements io.Writer.
func (s stopper) Write(p []byte) (int, error) {
	s()
	return len(p), nil
}
