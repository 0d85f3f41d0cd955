package session

import "testing"

const (
	chrome  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	newer   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.2.0.0 Safari/537.36"
	safari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1"
	written = "Your account is blocked, visit http://evil.test"
)

func TestDevice_Resembles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		a, b device
		want bool
	}{
		"the same":         {device{chrome, "192.0.2.1"}, device{chrome, "192.0.2.1"}, true},
		"updated":          {device{chrome, "192.0.2.1"}, device{newer, "192.0.2.1"}, true},
		"the next day":     {device{chrome, "192.0.2.1"}, device{chrome, "192.0.77.9"}, true},
		"IPv6 nearby":      {device{chrome, "2001:db8:1::1"}, device{chrome, "2001:db8:2::1"}, true},
		"another program":  {device{chrome, "192.0.2.1"}, device{safari, "192.0.2.1"}, false},
		"another provider": {device{chrome, "192.0.2.1"}, device{chrome, "198.51.100.1"}, false},
		"another family":   {device{chrome, "192.0.2.1"}, device{chrome, "2001:db8::1"}, false},
		"both unknown":     {device{}, device{}, true},
		"one unknown":      {device{chrome, "192.0.2.1"}, device{chrome, ""}, false},
	} {
		if tc.a.resembles(tc.b) != tc.want || tc.b.resembles(tc.a) != tc.want {
			t.Errorf("%s: want %t", name, tc.want)
		}
	}
}

func TestDescribe_UsesOnlyFixedWords(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		chrome: "Chrome on Windows", safari: "Safari on an iPhone", written: "an unknown program", "": "an unknown program",
		"gatehouse-app/1.0 (Android 15)": "Android",
	} {
		if got := describe(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}
