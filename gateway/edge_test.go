package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gatehouse/gatehouse/gateway"
	"github.com/gatehouse/gatehouse/platform/limit"
)

// raw sends the bytes of a request and returns the response.
func (h *harness) raw(request string) reply {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		h.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{response, string(body)}
}

// S56, S80: ambiguous paths, internal RPCs, metrics and profiles are not routes.
func TestAmbiguousPaths_AreNotRoutes(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, path := range []string{
		"//v1/me", "/v1//me", "/v1/me//", "/v1/./me", "/v1/../v1/me", "/v1/%2e%2e/v1/me", "/v1%2fme", "/v1%2Fme", "/v1;x/me", "/v1/me;x=y",
		"/v1/me%3bx", "/v1\\me", "/v1%5cme", "/v1/m%00e", "/v1/%6de%252f", "/v1/documents/%ff", "/docs/../openapi.json",
		"//gatehouse.auth.v1.ServiceTokenService/IssueServiceToken", "/x/../gatehouse.auth.v1.ServiceTokenService/IssueServiceToken",
		"/gatehouse.auth.v1.ServiceTokenService/IssueServiceToken", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/metrics", "/debug/pprof/", "/livez",
	} {
		for _, method := range []string{"GET", "POST"} {
			a := h.raw(method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
			if a.StatusCode != 404 && a.StatusCode != 400 {
				t.Errorf("%s %s: %d %s", method, path, a.StatusCode, a.body)
			}
		}
	}
	if h.saw() != nil && len(h.saw()) > 0 {
		t.Errorf("a service was called: %v", h.saw())
	}
}

func TestS57RequestIDs(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, c := range []struct {
		name, given string
		kept        bool
	}{
		{"a sane one", "abc-123_X.y", true},
		{"none", "", false},
		{"a long one", strings.Repeat("a", 1024), false},
		{"one with spaces", "a b", false},
		{"one with quotes", `a"b`, false},
		{"one with a tab", "a\tb", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.call("GET", "/v1/me", "", "X-Request-Id", c.given)
			got := a.Header.Get("X-Request-Id")
			if (got == c.given) != c.kept || got == "" {
				t.Errorf("%q became %q", c.given, got)
			}
			if seen := h.saw().Get("x-request-id"); len(seen) != 1 || seen[0] != got {
				t.Errorf("the service saw %q", seen)
			}
		})
	}
	t.Run("two of them", func(t *testing.T) {
		a := h.call("GET", "/v1/me", "", "X-Request-Id", "one", "X-Request-Id", "two")
		if got := a.Header.Get("X-Request-Id"); got == "one" || got == "two" {
			t.Errorf("kept %q", got)
		}
	})
	t.Run("the log has one line for each request", func(t *testing.T) {
		h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\n  {\"level\":\"ERROR\"}\r\nUser-Agent: \x1b[31m\x7f\r\nConnection: close\r\n\r\n")
		lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
		for _, line := range lines {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] != "request" {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

func TestS55CORS(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory, configured(func(c *gateway.Config) {
		c.CORSOrigins = []string{"https://app.example.com", "http://localhost:3000"}
	}))
	for origin, listed := range map[string]bool{
		"https://app.example.com": true, "http://localhost:3000": true, "": false, "null": false,
		"http://app.example.com": false, "https://app.example.com:8443": false, "https://app.example.com.evil.test": false,
		"https://evil-app.example.com": false, "https://APP.example.com": false, "*": false,
	} {
		t.Run("origin "+origin, func(t *testing.T) {
			headers := []string{"Access-Control-Request-Method", "POST"}
			if origin != "" {
				headers = append(headers, "Origin", origin)
			}
			for _, a := range []reply{h.call("GET", "/v1/me", "", headers[2:]...), h.call("OPTIONS", "/v1/me", "", headers...)} {
				allowed := a.Header.Get("Access-Control-Allow-Origin")
				if listed && allowed != origin || !listed && allowed != "" {
					t.Errorf("allowed %q", allowed)
				}
				if !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
					t.Errorf("Vary %q", a.Header.Values("Vary"))
				}
				if a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials are allowed")
				}
			}
		})
	}
	a := h.call("OPTIONS", "/v1/assistants", "", "Origin", "http://localhost:3000", "Access-Control-Request-Method", "POST")
	for _, name := range []string{"authorization", "idempotency-key", "if-match", "last-event-id", "x-grpc-web", "connect-protocol-version"} {
		if !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	if a.StatusCode != 204 || a.body != "" {
		t.Errorf("preflight: %d %q", a.StatusCode, a.body)
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory, configured(func(c *gateway.Config) { c.PublicURL = "https://gatehouse.example.com" }))
	for _, path := range []string{"/v1/me", "/v1/nothing", "/", "/docs", "/openapi.json", "/%2e%2e/"} {
		a := h.call("GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		} {
			if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if a.Header.Get("X-Request-Id") == "" || a.Header.Get("Server") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

// S54: only the entries of trusted proxies are used.
func TestAddressLimit_CountsClientAddress(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory, limited, configured(func(c *gateway.Config) {
		c.AddressQuota = limit.Quota{Name: "address", PerMinute: 1, Burst: 2}
		c.TrustedProxyHops = 1
	}))
	for i := range 3 {
		a := h.call("GET", "/v1/me", "", "X-Forwarded-For", "6.6.6.6, 192.0.2.1")
		if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("RateLimit"), fmt.Sprintf(`"address";r=%d;t=`, 2-i)) || a.Header.Get("RateLimit-Policy") != `"address";q=1;w=60` {
			t.Errorf("request %d: %d %v", i, a.StatusCode, a.Header)
		}
	}
	a := h.call("GET", "/v1/me", "", "X-Forwarded-For", "7.7.7.7, 192.0.2.1") // entries of the client are ignored
	if p := a.problem(t); a.StatusCode != 429 || p.Reason != "RATE_LIMITED" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// Another client, and two clients that share a /64.
	for address, want := range map[string]int{"192.0.2.2": 200, "2001:db8::1": 200} {
		if a := h.call("GET", "/v1/me", "", "X-Forwarded-For", address); a.StatusCode != want {
			t.Errorf("%s: %d", address, a.StatusCode)
		}
	}
	for range 2 {
		h.call("GET", "/v1/me", "", "X-Forwarded-For", "2001:db8::2")
	}
	if a := h.call("GET", "/v1/me", "", "X-Forwarded-For", "2001:db8::3"); a.StatusCode != 429 {
		t.Errorf("a neighbor in the /64: %d", a.StatusCode)
	}
	// gRPC calls are counted together with the others.
	_, trailers, _ := h.webCall(true, "/gatehouse.auth.v1.AccountService/GetMe", nil, "X-Forwarded-For", "192.0.2.1")
	if !strings.Contains(trailers, "grpc-status: 8") {
		t.Errorf("gRPC-Web: %q", trailers)
	}
}

func TestMetrics_NameRoutesNotPaths(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	h.call("GET", "/v1/assistants/0199-secret", "")
	h.call("GET", "/v1/nothing/0199-secret", "")
	h.call("BREW", "/v1/me", "")
	var data metricdata.ResourceMetrics
	var text bytes.Buffer
	h.eventually("three requests to be counted", func() bool {
		if err := h.reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		text.Reset()
		count := uint64(0)
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				if histogram, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "http.server.request.duration" {
					for _, point := range histogram.DataPoints {
						count += point.Count
						fmt.Fprintln(&text, point.Attributes.Encoded(plainEncoder{}))
					}
				}
			}
		}
		return count == 3
	})
	got := text.String()
	if !strings.Contains(got, "http.route=/v1/assistants/{id}") || strings.Contains(got, "secret") || strings.Contains(got, "BREW") {
		t.Error(got)
	}
}

func TestS74LogsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	h.call("POST", "/v1/auth/sign-in?token=sesame1", `{"email":"a@b.c","password":"sesame2"}`)
	h.call("POST", "/v1/auth/sign-in", `{"email":"a@b.c","password":"sesame3"}`, "Authorization", "Bearer sesame4")
	h.eventually("the log", func() bool { return strings.Count(h.log.String(), "\n") == 2 })
	if strings.Contains(h.log.String(), "sesame") {
		t.Error(h.log.String())
	}
}

// S58: the response to a panic reveals nothing.
func TestPanic_BecomesProblem(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory, func(s *setting) { s.tokens = panicking{} })
	a := h.call("GET", "/v1/me", "")
	if p := a.problem(t); a.StatusCode != 500 || p.Reason != "INTERNAL" || strings.Contains(a.body, "boom") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if log := h.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "stack") {
		t.Errorf("the log has %s", log)
	}
}
