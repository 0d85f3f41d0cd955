package key_test

import (
	"bytes"
	"testing"

	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

func TestS73BoxOpensOnlyInItsRow(t *testing.T) {
	t.Parallel()
	secret, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	box := func(secret []byte, purpose string) *key.Box {
		b, err := key.NewBox(secret, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := box(secret, "one")
	sealed := b.Seal([]byte("a secret"), "row")
	if text, err := b.Open(sealed, "row"); err != nil || string(text) != "a secret" {
		t.Errorf("opened %q, %v", text, err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the text can be read")
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another row":     func() ([]byte, error) { return b.Open(sealed, "row2") },
		"altered":         func() ([]byte, error) { return b.Open(altered, "row") },
		"cut off":         func() ([]byte, error) { return b.Open(sealed[:10], "row") },
		"another purpose": func() ([]byte, error) { return box(secret, "two").Open(sealed, "row") },
		"another secret":  func() ([]byte, error) { return box(other, "one").Open(sealed, "row") },
	} {
		if text, err := open(); err == nil {
			t.Errorf("%s opened as %q", name, text)
		}
	}
	if _, err := key.NewBox([]byte("short"), "one"); err == nil {
		t.Error("a short secret was accepted")
	}
}
