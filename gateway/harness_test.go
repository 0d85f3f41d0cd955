package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse/gatehouse/gateway"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
)

// patience bounds every wait of a test. No wait should take that long.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens issues service tokens that name their audience.
type tokens struct{}

func (tokens) Token(_ context.Context, audience string) (string, error) {
	return "svc-" + audience, nil
}

// harness is a gateway on a real port, in front of the double.
type harness struct {
	*double
	t       *testing.T
	gateway *gateway.Gateway
	url     string
	address string
	client  *http.Client
	clock   *clock.Fake
	log     *logBuffer
	reader  *metric.ManualReader
	// services stops the double, as if its process had crashed.
	services func()
	// stop ends the context of the gateway. done receives the result of Run.
	stop context.CancelFunc
	done chan error
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// listen returns a listener and its dialer: over TCP or in memory.
func listen(t *testing.T, inMemory bool) (net.Listener, func(context.Context) (net.Conn, error)) {
	t.Helper()
	if inMemory {
		l := bufconn.Listen(1 << 20)
		return l, l.DialContext
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, rpcclient.TCP(l.Addr().String())
}

type setting struct {
	inMemory      bool
	config        gateway.Config
	readerTimeout time.Duration
	tokens        rpcclient.TokenSource
}

// limited enables the rate limits.
func limited(s *setting) { s.config.RateLimits = true }

// impatient disconnects slow readers after d.
func impatient(d time.Duration) func(*setting) {
	return func(s *setting) { s.readerTimeout = d }
}

// inMemory connects the gateway and the services in memory, as in the all-in-one process.
func inMemory(s *setting) { s.inMemory = true }

// configured changes the gateway's configuration.
func configured(change func(*gateway.Config)) func(*setting) {
	return func(s *setting) { change(&s.config) }
}

func start(t *testing.T, d *double, options ...func(*setting)) *harness {
	t.Helper()
	s := &setting{tokens: tokens{}, config: gateway.Config{
		PublicURL: "http://127.0.0.1:8080", Local: true, Version: "v1.2.3", DrainTimeout: patience,
	}}
	for _, option := range options {
		option(s)
	}
	backend, dial := listen(t, s.inMemory)
	server := d.server()
	serving := make(chan struct{})
	go func() { defer close(serving); _ = server.Serve(backend) }()

	h := &harness{double: d, t: t, clock: clock.NewFake(time.Now()), log: &logBuffer{}, reader: metric.NewManualReader()}
	h.services = func() { server.Stop(); <-serving }
	gw, err := gateway.New(s.config, gateway.Deps{
		Auth:       rpcclient.Peer{Name: "auth", DialContext: dial},
		Management: rpcclient.Peer{Name: "management", DialContext: dial},
		Chat:       rpcclient.Peer{Name: "chat", DialContext: dial},
		Tokens:     s.tokens,
		Log:        slog.New(slog.NewJSONHandler(h.log, nil)),
		Tracer:     nooptrace.NewTracerProvider(),
		Meter:      metric.NewMeterProvider(metric.WithReader(h.reader)),
		Clock:      h.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.gateway = gw
	if s.readerTimeout > 0 {
		gw.SetReaderTimeout(s.readerTimeout)
	}
	front, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address, h.url = front.Addr().String(), "http://"+front.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	h.stop, h.done = cancel, make(chan error, 1)
	go func() { h.done <- gw.Run(ctx, front); close(h.done) }()
	transport := &http.Transport{}
	h.client = &http.Client{Transport: asSomeone{transport}}
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		if err := <-h.done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := gw.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		h.services()
	})
	return h
}

// someone is the credential of requests that have none. The double accepts every
// credential.
const someone = "Bearer someone"

// asSomeone adds a credential to a request that has none. It sends a request with an
// empty credential without one.
type asSomeone struct{ *http.Transport }

func (a asSomeone) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if values, stated := r.Header["Authorization"]; !stated {
		r.Header.Set("Authorization", someone)
	} else if len(values) == 1 && values[0] == "" {
		r.Header.Del("Authorization")
	}
	return a.Transport.RoundTrip(r)
}

// request builds a request; headers are pairs.
func (h *harness) request(method, path, body string, headers ...string) *http.Request {
	h.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// reply is a response that was read to its end.
type reply struct {
	*http.Response
	body string
}

func (h *harness) do(r *http.Request) reply {
	h.t.Helper()
	response, err := h.client.Do(r)
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

func (h *harness) call(method, path, body string, headers ...string) reply {
	h.t.Helper()
	return h.do(h.request(method, path, body, headers...))
}

// problem returns the problem in a response. It fails the test when there is none.
func (a reply) problem(t *testing.T) fault.Problem {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != fault.ProblemContentType {
		t.Fatalf("Content-Type %q, want a problem; status %d, body %s", got, a.StatusCode, a.body)
	}
	var p fault.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != a.StatusCode {
		t.Errorf("the problem has status %d, the response %d", p.Status, a.StatusCode)
	}
	if p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("requestId %q, header %q", p.RequestID, a.Header.Get("X-Request-Id"))
	}
	return p
}

// within returns the next value of a channel. It fails the test when none arrives in time.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}
