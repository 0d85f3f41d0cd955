package apikey_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// auth is the source of a resolver.
type auth struct {
	keys    map[[sha256.Size]byte]apikey.Key
	failure error
	asked   int
}

func (a *auth) resolve(_ context.Context, hash [sha256.Size]byte) (apikey.Key, error) {
	a.asked++
	if a.failure != nil {
		return apikey.Key{}, a.failure
	}
	k, ok := a.keys[hash]
	if !ok {
		return k, identity.Unauthenticated()
	}
	return k, nil
}

func setup(t *testing.T) (*apikey.Resolver, *auth, *clock.Fake) {
	t.Helper()
	a, clk := &auth{keys: map[[sha256.Size]byte]apikey.Key{}}, clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r, err := apikey.NewResolver(a.resolve, clk)
	if err != nil {
		t.Fatal(err)
	}
	return r, a, clk
}

func TestNew_ReturnsWellFormedKeys(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^gh_[0-9A-Za-z]{49}$`)
	seen := map[string]bool{}
	for range 200 {
		key := apikey.New()
		if !form.MatchString(key) || seen[key] || !apikey.HasPrefix(key) || !strings.HasPrefix(key, apikey.Hint(key)) {
			t.Fatalf("made %q", key)
		}
		seen[key] = true
	}
}

// A text that is not well-formed is refused without a call to auth.
func TestResolve_MistypedKey_IsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	r, a, _ := setup(t)
	key := apikey.New()
	a.keys[apikey.Hash(key)] = apikey.Key{ID: "k", UserID: "u"}
	swapped := []byte(key)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	for _, wrong := range []string{"", "gh_", key[:len(key)-1], key + "0", strings.ToLower(key), "gh_" + strings.Repeat("0", 49) + "x", string(swapped) + "", strings.Repeat("x", 1<<16)} {
		if wrong == key {
			continue // the two characters are equal
		}
		if _, err := r.Resolve(t.Context(), wrong); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("%.60q: %v", wrong, err)
		}
	}
	if a.asked != 0 {
		t.Errorf("auth was asked %d times", a.asked)
	}
}

func TestResolve_AnswersAreCachedForTheTTL(t *testing.T) {
	t.Parallel()
	r, a, clk := setup(t)
	key := apikey.New()
	a.keys[apikey.Hash(key)] = apikey.Key{ID: "k", UserID: "u", OrganizationID: "o", Roles: []string{"member"}, Scopes: []string{"chat.read"}}
	for range 3 {
		p, err := r.Resolve(t.Context(), key)
		if err != nil || p.UserID != "u" || p.OrganizationID != "o" || p.SessionID != "k" || p.FirstParty() || len(p.Scopes) != 1 || p.Token != key {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	delete(a.keys, apikey.Hash(key))
	clk.Advance(apikey.CacheTTL - time.Millisecond)
	if _, err := r.Resolve(t.Context(), key); err != nil || a.asked != 1 {
		t.Errorf("asked %d times, %v", a.asked, err)
	}
	clk.Advance(time.Millisecond)
	for range 3 {
		if _, err := r.Resolve(t.Context(), key); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("after the key expired: %v", err)
		}
	}
	if a.asked != 2 {
		t.Errorf("a refusal is not cached: %d calls", a.asked)
	}
}

// When auth is unavailable, a key is neither accepted nor refused.
func TestResolve_AuthIsDown_IsUnavailable(t *testing.T) {
	t.Parallel()
	r, a, _ := setup(t)
	key := apikey.New()
	a.failure = fault.Wrap(errors.New("down"), faultv1.Reason_REASON_UNAVAILABLE, "auth is down")
	if _, err := r.Resolve(t.Context(), key); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
		t.Errorf("got %v", err)
	}
	a.failure, a.keys[apikey.Hash(key)] = nil, apikey.Key{ID: "k"}
	if _, err := r.Resolve(t.Context(), key); err != nil {
		t.Errorf("when auth is back: %v", err)
	}
}
