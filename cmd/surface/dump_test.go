package surface_test

import (
	"encoding/base32"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S73: a dump of the whole database contains no password, token, key or code that works. The
// responses stored for idempotency keys contain none either.
func TestS73DatabaseDumpContainsNoUsableSecret(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s, other := i.SignUp(t, "ada@example.com"), i.SignUp(t, "bob@example.com")
	populate(t, i, s)
	secrets := map[string]string{"password": inprocess.AdminPassword, "access token": s.AccessToken}
	var pair struct{ AccessToken, RefreshToken string }
	inprocess.Decode(t, i.Request(t, inprocess.Session{}, http.MethodPost, "/v1/auth/sign-in",
		map[string]string{"email": inprocess.AdminEmail, "password": inprocess.AdminPassword}), &pair)
	secrets["another access token"], secrets["refresh token"] = pair.AccessToken, pair.RefreshToken
	program, _ := createKey(t, i, s, "chat.read")
	secrets["API key"] = program.AccessToken
	var totp struct{ Secret string }
	inprocess.Decode(t, i.Request(t, other, http.MethodPost, "/v1/me/mfa/totp", map[string]any{}), &totp)
	secrets["authenticator's secret"] = totp.Secret
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(totp.Secret)
	if err != nil {
		t.Fatal(err)
	}
	secrets["authenticator's bytes"] = string(raw)
	tables := query(t, i.Database, pgx.RowTo[string], `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if len(tables) < 20 {
		t.Fatalf("only %d tables were found", len(tables))
	}
	for _, table := range tables {
		rows := strings.Join(query(t, i.Database, pgx.RowTo[string], "SELECT t::text FROM "+table+" t"), "\n")
		for what, secret := range secrets {
			if secret == "" {
				t.Fatalf("the test has no %s", what)
			}
			if strings.Contains(rows, secret) || strings.Contains(rows, hex.EncodeToString([]byte(secret))) {
				t.Errorf("%s contains the %s", table, what)
			}
		}
	}
}
