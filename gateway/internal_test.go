package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/proto/catalog"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func TestS54ClientAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		hops       int
		want, key  string
	}{
		{"the peer by default", "192.0.2.7:5000", []string{"6.6.6.6"}, 0, "192.0.2.7", "192.0.2.7"},
		{"the entry of the trusted proxy", "10.0.0.1:1", []string{"6.6.6.6, 192.0.2.8"}, 1, "192.0.2.8", "192.0.2.8"},
		{"two proxies", "10.0.0.1:1", []string{"6.6.6.6, 192.0.2.8, 10.0.0.2"}, 2, "192.0.2.8", "192.0.2.8"},
		{"several headers are one list", "10.0.0.1:1", []string{"6.6.6.6", "192.0.2.8", "10.0.0.2"}, 2, "192.0.2.8", "192.0.2.8"},
		{"fewer entries than hops", "10.0.0.1:1", []string{"6.6.6.6"}, 2, "10.0.0.1", "10.0.0.1"},
		{"no header", "10.0.0.1:1", nil, 1, "10.0.0.1", "10.0.0.1"},
		{"an invalid address", "10.0.0.1:1", []string{"unknown"}, 1, "10.0.0.1", "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"192.0.2.8:443"}, 1, "192.0.2.8", "192.0.2.8"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.9]:1", nil, 0, "192.0.2.9", "192.0.2.9"},
		{"IPv6 counts by its /64", "[2001:db8:1:2:3::4]:1", nil, 0, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"a zone", "[fe80::1%eth0]:1", nil, 0, "fe80::1", "fe80::/64"},
		{"in memory", "bufconn", nil, 0, "", "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
			addr := clientAddress(r, c.hops)
			if addressText(addr) != c.want || limitKey(addr) != c.key {
				t.Errorf("%s, key %s; want %s, key %s", addr, limitKey(addr), c.want, c.key)
			}
		})
	}
}

// S86: a principal has one bucket, whatever the form of its header. Two principals never
// share one.
func TestS86StreamsAreCountedByPrincipal(t *testing.T) {
	t.Parallel()
	token := func(claims, signature string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + signature
	}
	ada, eve := token(`{"sub":"ada","jti":"1"}`, "x"), token(`{"sub":"eve"}`, "x")
	key := func(header, peer string) streamKey {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		x := &exchange{client: netip.MustParseAddr(peer)}
		return streamKeyOf(r.WithContext(withExchange(t.Context(), x)))
	}
	const here, there = "192.0.2.1", "192.0.2.2"
	for _, c := range []struct {
		name         string
		one, another streamKey
		same         bool
	}{
		{"the scheme in another case", key("Bearer "+ada, here), key("bEARER "+ada, here), true},
		{"more spaces", key("Bearer "+ada, here), key("  Bearer   "+ada+" ", here), true},
		{"another token of the same user", key("Bearer "+ada, here), key("Bearer "+token(`{"jti":"2","sub":"ada"}`, "y"), here), true},
		{"an API key in another case of the scheme", key("Bearer gh_key", here), key("bearer gh_key", here), true},
		{"an API key from another address", key("Bearer gh_key", here), key("Bearer gh_key", there), true},
		{"no credential", key("", here), key("", here), true},
		{"another user", key("Bearer "+ada, here), key("Bearer "+eve, here), false},
		{"the same subject at another address", key("Bearer "+ada, here), key("Bearer "+ada, there), false},
		{"another API key", key("Bearer gh_key", here), key("Bearer gh_kez", here), false},
		{"no credential from another address", key("", here), key("", there), false},
		{"no credential and a token", key("", here), key("Bearer "+ada, here), false},
		{"a token without JSON", key("Bearer a.b.c", here), key("Bearer a.b.d", here), false},
		{"a token without a subject", key("Bearer "+token(`{}`, "x"), here), key("Bearer "+token(`{}`, "y"), here), false},
	} {
		if (c.one == c.another) != c.same {
			t.Errorf("%s: one bucket is %v", c.name, c.one == c.another)
		}
	}
}

// S91: on every route whose path names a resource, a body that names another one is
// refused, and the fault names the field.
func TestS91EveryRouteComparesItsBodyWithItsPath(t *testing.T) {
	t.Parallel()
	all, err := newTable(&upstreams{byName: map[string]*upstream{"auth": {}, "management": {}, "chat": {}}})
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, route := range all.routes {
		for param := range route.params {
			path, below := param, true
			if route.body != "*" {
				path, below = strings.CutPrefix(param, route.body+".")
			}
			if route.bodyMessage() == nil || !below {
				continue
			}
			compared++
			field := catalog.FieldAt(route.bodyMessage(), path)
			for _, spelling := range []string{field.JSONName(), string(field.Name())} {
				body := `{"` + spelling + `":"another"}`
				if f := fault.From(checkPathIDs(route, []byte(body), map[string]string{param: "this"})); f == nil || f.Violations()[0].Field != field.JSONName() {
					t.Errorf("%s accepts %s: %v", name, body, f)
				}
				if err := checkPathIDs(route, []byte(body), map[string]string{param: "ANOTHER"}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d fields were compared", compared)
	}
}

func TestParseTimeout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"100m": 100 * time.Millisecond, "1H": time.Hour, "5u": 5 * time.Microsecond, "99999999H": 1<<63 - 1} {
		if got, ok := parseTimeout(text); !ok || got != want {
			t.Errorf("%q is %s, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "m", "1", "-1S", "1.5S", "999999999S", "1s", " 1S"} {
		if got, ok := parseTimeout(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// S56: all programs read a path alike that passes the check.
func FuzzPlainPath_IsUnambiguous(f *testing.F) {
	for _, seed := range []string{"/v1/me", "//", "/a/../b", "/%2e%2e/", "/a%2fb", "/a;b", "/\\", "/%252e", "/v1/runs/x:cancel"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !plainPath(u) {
			return
		}
		// Decoding again, or cleaning, must change nothing.
		again, err := url.PathUnescape(u.Path)
		if err != nil || again != u.Path || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/../") {
			t.Errorf("%q is read as %q and as %q", path, u.Path, again)
		}
	})
}

func FuzzExplain_ReturnsDetail(f *testing.F) {
	for _, seed := range []string{`{}`, `{"displayName":1}`, `{"tools":[null,1]}`, `{"createTime":5,"temperature":"x"}`, `{"a":{"b":[]}}`} {
		f.Add([]byte(seed))
	}
	create := &route{method: &method{input: (&managementv1.CreateAssistantRequest{}).ProtoReflect().Descriptor()}, body: "assistant"}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body, maxValues) != nil {
			return
		}
		if f := explain(create, body); f == nil || f.Detail() == "" {
			t.Errorf("%q is refused without a detail", body)
		}
	})
}

// An event that is written and read again is the same event, whatever its text.
func FuzzEventWriter_RoundTrips(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\r\n\r\n", "data: x\n\n", "\u2028\u2029\x00", "<&>\"\\"} {
		f.Add(seed, int32(1))
	}
	f.Fuzz(func(t *testing.T, text string, seq int32) {
		event := &chatv1.RunEvent{Seq: seq, Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: text}}}
		w := &eventWriter{buf: new(bytes.Buffer)}
		if err := w.event(event); err != nil {
			return // not UTF-8
		}
		lines := strings.Split(w.buf.String(), "\n")
		if len(lines) != 5 || lines[3] != "" || lines[4] != "" || strings.Contains(w.buf.String(), "\r") {
			t.Fatalf("%d lines: %q", len(lines), w.buf.String())
		}
		var data struct {
			Seq          int32
			MessageDelta struct{ Text string }
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[2], "data: ")), &data); err != nil || data.MessageDelta.Text != text || data.Seq != seq {
			t.Errorf("%q was read as %q, %v", text, data.MessageDelta.Text, err)
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	event := &chatv1.RunEvent{
		RunId: "0199b6c1-0000-7000-8000-000000000000", Seq: 42, Time: timestamppb.Now(),
		Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: "the next few words"}},
	}
	w := &eventWriter{buf: new(bytes.Buffer)}
	b.ReportAllocs()
	for b.Loop() {
		w.buf.Reset()
		if err := w.event(event); err != nil {
			b.Fatal(err)
		}
	}
}
