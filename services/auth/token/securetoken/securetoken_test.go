package securetoken_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"testing"

	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

func TestNew_TokensHave32BytesAndDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		token, hash := securetoken.New()
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(raw) != 32 || url.QueryEscape(token) != token {
			t.Errorf("the token is %q, %v", token, err)
		}
		if !bytes.Equal(hash, securetoken.Hash(token)) {
			t.Errorf("the hash of %q differs", token)
		}
		if seen[token] {
			t.Errorf("%q was returned twice", token)
		}
		seen[token] = true
	}
}

// Stored hashes must stay valid, so the hash never changes.
func TestHash_IsSHA256OfTheText(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if got := hex.EncodeToString(securetoken.Hash(token)); got != want {
			t.Errorf("%q: %s, want %s", token, got, want)
		}
	}
}
