package user_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/services/auth/user"
)

func TestNormalizeEmail(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Ada@Example.ORG": "ada@example.org", " a@b.c ": "a@b.c", "ａda@example.org": "ada@example.org",
	} {
		if got := user.NormalizeEmail(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	const address = "ada.lovelace@example.org"
	for password, good := range map[string]bool{
		"correct horse battery": true, "ünïcödé-wörds-12": true, strings.Repeat("abcdefg!", 16): true,
		"short": false, strings.Repeat("abcdefg!", 17): false, "aaaaaaaaaaaaaa": false, "abcdefghijklmnop": false,
		"123456789012": false, "qwertyuiopasdf": false, "Password12345!": false, "passwordpassword": false,
		"ada.lovelace@example.org": false, "Ada.Lovelace": false, "ada.lovelaceada.lovelace": false,
	} {
		if err := user.CheckPassword(password, address); (err == nil) != good {
			t.Errorf("%q: %v, want good %t", password, err, good)
		}
	}
}

func TestHasher(t *testing.T) {
	t.Parallel()
	h := user.NewHasher()
	hash, err := h.Hash(t.Context(), "correct horse battery")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("hash %q, %v", hash, err)
	}
	for _, c := range []struct {
		hash, password string
		want           bool
	}{{hash, "correct horse battery", true}, {hash, "correct horse batterY", false}, {"", "no password", false}} {
		if got, err := h.Verify(t.Context(), c.hash, c.password); err != nil || got != c.want {
			t.Errorf("%q: %t, %v", c.password, got, err)
		}
	}
	if _, err := h.Verify(t.Context(), "plain", "x"); err == nil {
		t.Error("a hash of another form was accepted")
	}
}
