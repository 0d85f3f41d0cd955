package key_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

func sealer(t *testing.T, secret []byte) *key.Sealer {
	t.Helper()
	s, err := key.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS73SigningKeyIsSealed(t *testing.T) {
	t.Parallel()
	s := sealer(t, pgtest.SecretKey())
	now := clock.System().Now()
	k, err := s.Generate(now, now)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := s.Open(k)
	if err != nil || opened.ID != k.KID || bytes.Contains(k.Sealed, opened.Private.Seed()) {
		t.Fatalf("opened %s, %v", opened.ID, err)
	}
	other := bytes.Repeat([]byte{7}, 32)
	if _, err := sealer(t, other).Open(k); err == nil {
		t.Error("another secret key opened it")
	}
	for name, alter := range map[string]func(*key.Key){
		"row id": func(k *key.Key) { k.ID = "another" },
		"key id": func(k *key.Key) { k.KID = "another" },
		"text":   func(k *key.Key) { k.Sealed = slices.Clone(k.Sealed); k.Sealed[len(k.Sealed)-1] ^= 1 },
		"cut":    func(k *key.Key) { k.Sealed = k.Sealed[:4] },
	} {
		altered := k
		alter(&altered)
		if _, err := s.Open(altered); err == nil {
			t.Errorf("opened with another %s", name)
		}
	}
	if _, err := key.NewSealer([]byte("short")); err == nil {
		t.Error("a short secret key was accepted")
	}
}

func TestS7KeyIsPublishedBeforeItSignsUntilItsTokensExpire(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	clk := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ring := key.NewRing(key.NewStore(db), sealer(t, pgtest.SecretKey()), clk)
	if _, err := ring.Signing(t.Context()); err == nil {
		t.Error("signed without a key")
	}
	rotate := func() (kids []string, signing string) {
		t.Helper()
		if err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		keys, err := ring.Published(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			kids = append(kids, k.KID)
		}
		signer, err := ring.Signing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return kids, signer.ID
	}
	first, signing := rotate()
	if len(first) != 2 || signing != first[0] {
		t.Fatalf("began with %v, signing with %s", first, signing)
	}
	if again, _ := rotate(); !slices.Equal(again, first) {
		t.Errorf("rotated to %v when nothing was due", again)
	}
	clk.Advance(key.Period)
	second, signing := rotate()
	if len(second) != 3 || signing != first[1] {
		t.Errorf("after a period %v, signing with %s", second, signing)
	}
	if _, ok, err := ring.Key(t.Context(), first[0]); !ok || err != nil {
		t.Errorf("the last key no longer verifies: %v", err)
	}
	clk.Advance(key.Retention + time.Second)
	if third, _ := rotate(); !slices.Equal(third, second[1:]) {
		t.Errorf("kept %v of %v", third, second)
	}
	if _, ok, err := ring.Key(t.Context(), first[0]); ok || err != nil {
		t.Errorf("a removed key still verifies: %v", err)
	}
}

// S7: an administrator can make the next key sign at once, unless a service may not
// have read it yet. Tokens of the previous key stay valid.
func TestS7NextKeyIsAdvancedAfterItWasPublished(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	clk := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ring := key.NewRing(key.NewStore(db), sealer(t, pgtest.SecretKey()), clk)
	if err := ring.Advance(t.Context()); !fault.Is(err, faultv1.Reason_REASON_CONFLICT) {
		t.Errorf("without any key: %v", err)
	}
	if err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := ring.Signing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Advance(t.Context()); !fault.Is(err, faultv1.Reason_REASON_CONFLICT) || fault.From(err).RetryAfter() == 0 {
		t.Errorf("a new key: %v", err)
	}
	clk.Advance(key.Settled)
	if err := ring.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := ring.Signing(t.Context())
	if err != nil || after.ID == before.ID {
		t.Errorf("signs with %s after %s, %v", after.ID, before.ID, err)
	}
	published, err := ring.Published(t.Context())
	if err != nil || len(published) != 3 || published[0].KID != before.ID || published[1].KID != after.ID || !published[2].SignsAt.After(clk.Now()) {
		t.Errorf("published %+v, %v", published, err)
	}
}

// A lost key is replaced at once. A key that cannot be unsealed is reported with what
// to do, and doing it helps.
func TestCheck_AlteredKey_IsNamedAndReplaced(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, migrations.Set())
	db := database.Open(t, migrations.Role)
	clk := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	ring := func() *key.Ring { return key.NewRing(key.NewStore(db), sealer(t, pgtest.SecretKey()), clk) }
	signing := func() string {
		t.Helper()
		r := ring()
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		signer, err := r.Signing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Check(t.Context()); err != nil {
			t.Errorf("good keys: %v", err)
		}
		return signer.ID
	}
	first := signing()
	database.AdminExec(t, "DELETE FROM auth.signing_keys WHERE kid = '"+first+"'")
	second := signing()
	if second == first {
		t.Error("the lost key signs")
	}
	database.AdminExec(t, "UPDATE auth.signing_keys SET sealed_private = overlay(sealed_private PLACING '\\x0000'::bytea FROM 20) WHERE kid = '"+second+"'")
	err := ring().Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), second) || !strings.Contains(err.Error(), "gatehouse keys discard "+second) {
		t.Fatalf("an altered key: %v", err)
	}
	if err := ring().Discard(t.Context(), "unknown"); !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("discarding an unknown key: %v", err)
	}
	if err := ring().Discard(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if third := signing(); third == second {
		t.Error("the altered key signs")
	}
}
