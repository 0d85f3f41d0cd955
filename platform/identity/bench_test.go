package identity_test

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
)

// BenchmarkAccess measures the verification of a token: one that is not cached, and one
// that is.
func BenchmarkAccess(b *testing.B) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	key, clk := identity.SigningKey{ID: "k1", Private: private}, clock.NewFake(start)
	keys := identity.NewKeys(func(context.Context) (map[string]ed25519.PublicKey, error) {
		return map[string]ed25519.PublicKey{key.ID: public}, nil
	}, clk)
	verifier, err := identity.NewVerifier(identity.VerifierConfig{Issuer: issuer, Service: "chat"}, keys, clk)
	if err != nil {
		b.Fatal(err)
	}
	// More tokens than a verifier caches, so that none is in the cache.
	tokens := make([]string, 4096)
	for i := range tokens {
		tokens[i], err = identity.SignAccess(key, identity.AccessClaims{
			Issuer: issuer, Subject: id.New(), ID: id.New(), ClientID: identity.FirstParty, OrganizationID: id.New(), SessionID: id.New(),
			Roles: []string{"owner"}, IssuedAt: start, ExpiresAt: start.Add(15 * time.Minute), AuthTime: start, AMR: []string{identity.MethodPassword},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, distinct := range map[string]int{"new": len(tokens), "known": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if _, err := verifier.Access(b.Context(), tokens[n%distinct]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
