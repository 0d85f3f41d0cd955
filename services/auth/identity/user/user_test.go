package user_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// S17: spellings that people take for one address are one address.
func TestNormalizeEmail(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Ada@Example.ORG": "ada@example.org", " a@b.c ": "a@b.c", "ａda@example.org": "ada@example.org",
		// A small letter with a composed form that its capital lacks.
		"H\u0331@example.org": "\u1e96@example.org", "h\u0331@example.org": "\u1e96@example.org", "\u1e96@example.org": "\u1e96@example.org",
		// A sign that is composed of a space and a mark.
		"\u02db@example.org": "\u0328@example.org",
	} {
		if got := user.NormalizeEmail(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

// S13: a password has 12 to 128 characters of any kind, and few guesses must not find
// it.
func TestS13EasyPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	const address = "ada.lovelace@example.org"
	for password, good := range map[string]bool{
		"correct horse battery": true, "ünïcödé-wörds-12": true, strings.Repeat("abcdefg!", 16): true,
		"short": false, strings.Repeat("abcdefg!", 17): false, "aaaaaaaaaaaaaa": false, "abcdefghijklmnop": false,
		"123456789012": false, "qwertyuiopasdf": false, "Password12345!": false, "passwordpassword": false,
		"ada.lovelace@example.org": false, "Ada.Lovelace": false, "ada.lovelaceada.lovelace": false,
		"Liverpool2024!": false, "1qaz2wsx3edc": false, "gatehouse1234": false, "Summer2026!!": false, "finalfantasy": false,
		strings.Repeat("𝔞𝔟𝔠𝔡𝔢𝔣𝔤𝔥", 16): true, strings.Repeat("𝔞𝔟𝔠𝔡𝔢𝔣𝔤𝔥", 16) + "𝔦": false, "elevenchars": false,
	} {
		if err := user.CheckPassword(password, address); (err == nil) != good {
			t.Errorf("%q: %v, want good %t", password, err, good)
		}
	}
}

func TestHasher_HashAndVerify(t *testing.T) {
	t.Parallel()
	h := user.NewHasher(time.Second)
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
	// S13: the last of many characters counts.
	long := strings.Repeat("𝔞𝔟𝔠𝔡𝔢𝔣𝔤𝔥", 16)
	if hash, err = h.Hash(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{long: true, strings.TrimSuffix(long, "𝔥") + "𝔤": false} {
		if got, err := h.Verify(t.Context(), hash, password); err != nil || got != want {
			t.Errorf("a password of 128 characters: %t, %v, want %t", got, err, want)
		}
	}
	if _, err := h.Verify(t.Context(), "plain", "x"); err == nil {
		t.Error("a hash of another format was accepted")
	}
}
