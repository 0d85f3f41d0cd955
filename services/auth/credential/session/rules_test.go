package session

import (
	"context"
	"net/netip"
	"strconv"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestNear_PrefixesEndAtTheirBits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, a, b string
		want       bool
	}{
		{"the last address of the IPv4 prefix", "192.0.0.0", "192.0.255.255", true},
		{"the first address after it", "192.0.255.255", "192.1.0.0", false},
		{"the last address of the IPv6 prefix", "2001:db8::", "2001:db8:ffff:ffff::", true},
		{"the first address after it", "2001:db8:ffff::", "2001:db9::", false},
		{"IPv4 in two forms", "::ffff:192.0.2.1", "192.0.2.1", true},
		{"one address in two zones", "fe80::1%eth0", "fe80::1%eth1", true},
		{"one text that is no address", "proxy", "proxy", true},
		{"two texts that are no address", "proxy", "other", false},
		{"an address and none", "192.0.2.1", "", false},
	} {
		if near(tc.a, tc.b) != tc.want || near(tc.b, tc.a) != tc.want {
			t.Errorf("%s: near(%q, %q) is %t, want %t", tc.name, tc.a, tc.b, !tc.want, tc.want)
		}
	}
}

func TestProgram_RemovesOnlyVersions(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"":                        "",
		"curl/8.5.0":              "curl/",
		"CPU iPhone OS 18_0 like": "CPU iPhone OS  like",
		"app/1.0-beta":            "app/-beta",
		"Windows NT":              "Windows NT",
	} {
		if got := program(agent); got != want {
			t.Errorf("%q became %q, want %q", agent, got, want)
		}
	}
}

func newThrottle(t *testing.T) *Throttle {
	t.Helper()
	out, err := NewThrottle()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func from(t *testing.T, address string) context.Context {
	t.Helper()
	return identity.NewOriginContext(t.Context(), identity.Origin{IPAddress: address})
}

// allowed counts the attempts that a throttle accepts before it refuses one.
func allowed(t *testing.T, try func(i int) error) int {
	t.Helper()
	for i := range 1000 {
		err := try(i)
		if err == nil {
			continue
		}
		if !fault.Is(err, faultv1.Reason_REASON_RATE_LIMITED) || fault.From(err).RetryAfter() <= 0 {
			t.Fatalf("the throttle returned %v, retry after %s", err, fault.From(err).RetryAfter())
		}
		return i
	}
	t.Fatal("the throttle refuses nothing")
	return 0
}

func TestThrottle_OneAccountFromOneNetwork_IsLimitedTightly(t *testing.T) {
	t.Parallel()
	throttle := newThrottle(t)
	here := from(t, "2001:db8:1:2::1")
	n := allowed(t, func(int) error { _, err := throttle.reserve(here, "ada"); return err })
	if n < 8 || n > 9 {
		t.Errorf("%d attempts are allowed at once", n)
	}
	for name, tc := range map[string]struct {
		address, account string
		refused          bool
	}{
		"another address of the network": {"2001:db8:1:2::2", "ada", true},
		"another network":                {"2001:db8:1:3::1", "ada", false},
		"another account":                {"2001:db8:1:2::1", "bob", false},
	} {
		if _, err := throttle.reserve(from(t, tc.address), tc.account); (err != nil) != tc.refused {
			t.Errorf("%s: %v, want refused %t", name, err, tc.refused)
		}
	}
}

func TestThrottle_ManyAccountsFromOneNetwork_AreLimitedWidely(t *testing.T) {
	t.Parallel()
	throttle := newThrottle(t)
	here := from(t, "192.0.2.1")
	n := allowed(t, func(i int) error { _, err := throttle.reserve(here, strconv.Itoa(i)); return err })
	if n < 99 || n > 101 {
		t.Errorf("%d attempts are allowed at once", n)
	}
	if _, err := throttle.reserve(from(t, "192.0.2.2"), "ada"); err != nil {
		t.Errorf("from another network: %v", err)
	}
}

func TestThrottle_RefundedAttempt_IsNotCounted(t *testing.T) {
	t.Parallel()
	throttle := newThrottle(t)
	here := from(t, "192.0.2.1")
	for i := range 300 {
		try, err := throttle.reserve(here, "ada")
		if err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
		try.refund(here)
	}
}

// An attempt that the limit of the network refuses is not counted for its account.
func TestThrottle_RefusedForTheNetwork_IsNotCountedForTheAccount(t *testing.T) {
	t.Parallel()
	throttle := newThrottle(t)
	here := from(t, "192.0.2.1")
	allowed(t, func(i int) error { _, err := throttle.reserve(here, strconv.Itoa(i)); return err })
	for range 20 {
		if _, err := throttle.reserve(here, "ada"); err == nil {
			t.Fatal("the limit of the network allows another attempt")
		}
	}
	for range 50 {
		throttle.wide.Refund(here, networkOf("192.0.2.1"))
	}
	if n := allowed(t, func(int) error { _, err := throttle.reserve(here, "ada"); return err }); n < 8 {
		t.Errorf("%d attempts are left for the account", n)
	}
}

func TestThrottle_Nil_LimitsNothing(t *testing.T) {
	t.Parallel()
	var throttle *Throttle
	for range 300 {
		try, err := throttle.reserve(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		try.refund(t.Context())
	}
}

// Whatever address a proxy passes: two texts of one address count in one network.
func FuzzNetworkOf(f *testing.F) {
	for _, seed := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "", "unknown", "1.2.3.4:80", "[::1]", "::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		network := networkOf(text)
		ip, err := netip.ParseAddr(text)
		if err != nil {
			if network != "unknown" {
				t.Fatalf("%q counts as %q", text, network)
			}
			return
		}
		if again := networkOf(ip.String()); again != network {
			t.Fatalf("%q counts as %q, and its usual form as %q", text, network, again)
		}
		if !near(text, text) {
			t.Fatalf("%q is not near itself", text)
		}
		if ip = ip.Unmap().WithZone(""); ip.Is4() {
			if network != ip.String() {
				t.Fatalf("%q counts as %q", text, network)
			}
			return
		}
		if p, err := netip.ParsePrefix(network); err != nil || p.Bits() != networkBits || !p.Contains(ip) {
			t.Fatalf("%q counts as %q, %v", text, network, err)
		}
	})
}

// The user agent is text of an anonymous caller. The email about a new device has only
// fixed words.
func FuzzDescribe(f *testing.F) {
	for _, seed := range []string{chrome, newer, safari, written, "", "Edg Windows http://evil.test", "Firefox/\n\nLinux"} {
		f.Add(seed)
	}
	browsers := []string{"", "Edge", "Opera", "Firefox", "Chrome", "Safari"}
	systems := []string{"", "Windows", "Android", "an iPhone", "an iPad", "a Mac", "a Chromebook", "Linux"}
	fixed := map[string]bool{"an unknown program": true}
	for _, browser := range browsers {
		for _, system := range systems {
			if browser == "" || system == "" {
				fixed[browser+system] = true
			} else {
				fixed[browser+" on "+system] = true
			}
		}
	}
	delete(fixed, "")
	f.Fuzz(func(t *testing.T, agent string) {
		if got := describe(agent); !fixed[got] {
			t.Fatalf("%q is described as %q", agent, got)
		}
	})
}
