package inprocess

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/freeport"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

// Environment variables that choose how every installation of a test run is served. With them,
// make test-ways runs the same tests in each way.
const (
	// limitsVariable is on or off; unset is off.
	limitsVariable = "GATEHOUSE_TEST_RATE_LIMITS"
	// partsVariable is one, for all parts connected in memory, or four, for parts that call
	// each other over TCP as separate processes do; unset is one.
	partsVariable = "GATEHOUSE_TEST_PARTS"
)

const (
	announcement = "Gatehouse is at "
	// readyWithin is the longest time that a start may take on a busy machine.
	readyWithin = 60 * time.Second
	readyPause  = 10 * time.Millisecond
)

// Start serves the product until the test ends. The overrides replace settings of tests.
func Start(t testing.TB, overrides map[string]string) *Installation {
	t.Helper()
	database := pgtest.New(t, process.Migrations()...)
	// The issuer of tokens is the public URL. So the port is chosen before the gateway listens.
	variables := map[string]string{
		"GATEHOUSE_DATABASE_URL":   database.AdminURL,
		"GATEHOUSE_SECRET_KEY":     base64.StdEncoding.EncodeToString(database.SecretKey),
		"GATEHOUSE_DATA_DIR":       t.TempDir(),
		"GATEHOUSE_GATEWAY_ADDR":   freeAddress(t),
		"GATEHOUSE_OPS_ADDR":       "127.0.0.1:0",
		"GATEHOUSE_ADMIN_PASSWORD": AdminPassword,
		"GATEHOUSE_RATE_LIMITS":    RateLimits(t),
		"GATEHOUSE_PASSWORD_WAIT":  "20s", // tests keep the machine busier than users do
		"GATEHOUSE_LOG_LEVEL":      logLevel(t),
	}
	for name, value := range overrides {
		variables[name] = value
	}
	switch parts := variable(t, partsVariable); parts {
	case "", "one":
		return &Installation{URL: serveOne(t, load(t, variables)), Database: database}
	case "four":
		return &Installation{URL: serveFour(t, variables), Database: database}
	default:
		t.Fatalf("%s=%q is neither one nor four", partsVariable, parts)
		return nil
	}
}

// RateLimits returns on if this test run has rate limits, and off otherwise.
func RateLimits(t testing.TB) string {
	t.Helper()
	return cmp.Or(variable(t, limitsVariable), "off")
}

func variable(t testing.TB, name string) string {
	t.Helper()
	variables, err := config.Read()
	if err != nil {
		t.Fatal(err)
	}
	return variables[name]
}

func load(t testing.TB, variables map[string]string) settings.Settings {
	t.Helper()
	s, err := settings.Load(variables)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// freeAddress returns an address with an unused port.
func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// run runs a server until the test ends. The server must then stop without an error.
func run(t testing.TB, server func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the product did not stop cleanly: %v", err)
		}
	})
}

// serveOne serves every part in one server, and returns its URL.
func serveOne(t testing.TB, s settings.Settings) string {
	t.Helper()
	out, in := io.Pipe()
	log := newLog(t)
	run(t, func(ctx context.Context) error {
		err := process.Serve(ctx, s, "test", in, log)
		_ = in.CloseWithError(err)
		return err
	})
	greeting := bufio.NewReader(out)
	line, err := greeting.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, greeting) }() // ends when Serve returns
	return strings.TrimSpace(strings.TrimPrefix(line, announcement))
}

// serveFour serves each part separately, and returns the URL of the gateway.
func serveFour(t testing.TB, variables map[string]string) string {
	t.Helper()
	for _, name := range []string{"GATEHOUSE_AUTH_ADDR", "GATEHOUSE_MANAGEMENT_ADDR", "GATEHOUSE_CHAT_ADDR"} {
		variables[name] = freeAddress(t)
	}
	log := newLog(t)
	var ops string
	// The gateway is added last, so it stops first.
	for _, part := range []string{process.Auth, process.Management, process.Chat, process.Gateway} {
		ops = freeAddress(t)
		variables["GATEHOUSE_OPS_ADDR"] = ops
		s := load(t, variables)
		run(t, func(ctx context.Context) error { return process.ServePart(ctx, s, part, "test", log) })
	}
	awaitReady(t, "http://"+ops+"/readyz")
	return "http://" + variables["GATEHOUSE_GATEWAY_ADDR"]
}

// awaitReady waits until the gateway reports that it and its peers are ready.
func awaitReady(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	pause := time.NewTicker(readyPause)
	defer pause.Stop()
	for !ready(ctx, url) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("the product is not ready after %s", readyWithin)
		}
	}
}

func ready(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
