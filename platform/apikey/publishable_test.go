package apikey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S55: a publishable key stands for its organization on pages of its origins alone;
// what auth said of it is believed for a moment, and what cannot be right is not
// asked.
func TestS55PublishableKeysStandForTheirOrigins(t *testing.T) {
	t.Parallel()
	key, page := apikey.NewPublishable(), "https://www.example.com"
	asked, disabled, failure := 0, false, error(nil)
	clk := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	r, err := apikey.NewPublishableResolver(func(_ context.Context, shown, of string) (apikey.Publishable, error) {
		asked++
		switch {
		case failure != nil:
			return apikey.Publishable{}, failure
		case shown != key || disabled:
			return apikey.Publishable{}, identity.Unauthenticated()
		case of != page:
			return apikey.Publishable{}, apikey.OriginNotAllowed()
		}
		return apikey.Publishable{ID: "k", OrganizationID: "o"}, nil
	}, clk)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key, of string
		want    faultv1.Reason
		asked   int
	}{
		{key, page, 0, 1},
		{key, page, 0, 1},
		{key, "https://evil.example.com", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, 2},
		{key, "https://evil.example.com", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, 2},
		{key, "null", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, 2},
		{key, "", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, 2},
		{key, page + "/", faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, 2},
		{apikey.NewPublishable(), page, faultv1.Reason_REASON_UNAUTHENTICATED, 3},
		{strings.Replace(key, "pk_", "gh_", 1), page, faultv1.Reason_REASON_UNAUTHENTICATED, 3},
		{key + "0", page, faultv1.Reason_REASON_UNAUTHENTICATED, 3},
		{"", page, faultv1.Reason_REASON_UNAUTHENTICATED, 3},
	} {
		got, err := r.Resolve(t.Context(), tc.key, tc.of)
		if tc.want == 0 && (err != nil || got.ID != "k" || got.OrganizationID != "o") || tc.want != 0 && !fault.Is(err, tc.want) || asked != tc.asked {
			t.Errorf("%.8s on %q: %+v, %v, asked %d times", tc.key, tc.of, got, err, asked)
		}
	}
	if apikey.WellFormed(key) || apikey.Is(key) || apikey.WellFormedPublishable(apikey.New()) {
		t.Error("one kind of key passes as the other")
	}
	disabled = true
	clk.Advance(apikey.Believed - time.Millisecond)
	if _, err := r.Resolve(t.Context(), key, page); err != nil {
		t.Errorf("within the moment: %v", err)
	}
	clk.Advance(time.Millisecond)
	if _, err := r.Resolve(t.Context(), key, page); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("after it: %v", err)
	}
	failure, disabled = fault.Wrap(errors.New("down"), faultv1.Reason_REASON_UNAVAILABLE, "auth is down"), false
	clk.Advance(apikey.Believed)
	if _, err := r.Resolve(t.Context(), key, page); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
		t.Errorf("without auth: %v", err)
	}
	failure = nil
	if _, err := r.Resolve(t.Context(), key, page); err != nil {
		t.Errorf("when auth is back: %v", err)
	}
}
