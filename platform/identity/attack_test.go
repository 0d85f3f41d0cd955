package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/identity"
)

// signed returns a token with good claims that is signed with another algorithm.
func signed(t *testing.T, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims())
	token.Header["typ"], token.Header["kid"] = identity.TypeAccess, "k1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signRaw signs a header and a payload that a JWT library would not write.
func (b *bundle) signRaw(t *testing.T, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(b.key.Private, []byte(text)))
}

// S2: the clocks of two services may differ by half a minute.
func TestS2TheLeewayIsHalfAMinute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for past, good := range map[time.Duration]bool{29 * time.Second: true, 31 * time.Second: false} {
		c := claims()
		c["exp"] = start.Add(-past).Unix()
		if _, err := b.verifier.Access(t.Context(), b.sign(t, nil, c)); (err == nil) != good {
			t.Errorf("%s past its expiry: %v, want accepted = %v", past, err, good)
		}
	}
}

// S4: a token cannot name the place of its key, and nothing is fetched for it.
func TestS4NothingIsFetchedForAToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.verifier.Access(t.Context(), b.signRaw(t, `{"typ":"at+jwt","alg":"EdDSA","kid":"k1"}`, string(marshal(t, claims())))); err != nil {
		t.Fatalf("a good token of signRaw is refused: %v", err)
	}
	for _, header := range []map[string]any{
		{"jku": "http://evil.test/keys"}, {"x5u": "http://evil.test/chain"}, {"jwk": map[string]any{"kty": "OKP"}}, {"crit": []string{"b64"}},
		{"typ": "JWT"}, {"kid": ""},
	} {
		if _, err := b.verifier.Access(t.Context(), b.sign(t, header, claims())); err == nil {
			t.Errorf("%v was accepted", header)
		}
	}
	if b.fetches != 1 {
		t.Errorf("%d fetches, want only one, for the good token", b.fetches)
	}
}

// S6: a large token is refused because of its size, before it is decoded.
//
//nolint:paralleltest // it measures the heap
func TestS6LargeTokensAreRefusedBeforeDecoding(t *testing.T) {
	b := setup(t)
	for name, token := range map[string]string{
		"4 MiB": b.signRaw(t, `{"typ":"at+jwt","alg":"EdDSA","kid":"k1"}`, `{"pad":"`+strings.Repeat("x", 4<<20)+`"}`),
		"dots":  strings.Repeat(".", 1_000_000),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, err := b.verifier.Access(t.Context(), token); err == nil {
				t.Fatalf("%s: accepted", name)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: 100 refusals allocate %d KiB", name, grown>>10)
		}
	}
}
