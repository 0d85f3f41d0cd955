package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

func TestS27CodeVerifiersHaveLengthOfRFC7636(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]bool{0: false, 42: false, 43: true, 128: true, 129: false} {
		verifier := strings.Repeat("v", length)
		sum := sha256.Sum256([]byte(verifier))
		challenge := base64.RawURLEncoding.EncodeToString(sum[:])
		if matchesChallenge(verifier, challenge) != want {
			t.Errorf("a verifier of %d characters: %t, want %t", length, !want, want)
		}
		if matchesChallenge(verifier+"x", challenge) {
			t.Errorf("another verifier of %d characters is accepted", length)
		}
	}
}
