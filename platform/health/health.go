// Package health reports whether a process is alive and ready, and serves pages for
// operators. It has its own port, which is never public.
//
//	/livez            200 while the process runs; depends on nothing else
//	/readyz           each dependency by name; 503 when one is down
//	/metrics          Prometheus
//	/debug/pprof/     profiles
//	/version          the version of the program
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// checkTimeout bounds one check. A dependency that does not respond in time is down.
const checkTimeout = 2 * time.Second

// Status is the state of a dependency.
type Status string

// The statuses. A degraded dependency does not make the process unready.
const (
	Up       Status = "up"
	Degraded Status = "degraded"
	Down     Status = "down"
)

// Result is the result of one check.
type Result struct {
	// Status is the state of the dependency.
	Status Status `json:"status"`
	// Detail explains the status to an operator.
	Detail string `json:"detail,omitempty"`
}

// Check checks one dependency.
type Check func(ctx context.Context) Result

// FromError converts a function to a check. The function returns an error when its
// dependency is down.
func FromError(ask func(ctx context.Context) error) Check {
	return func(ctx context.Context) Result {
		if err := ask(ctx); err != nil {
			return Result{Down, err.Error()}
		}
		return Result{Status: Up}
	}
}

// Checks is a set of named checks.
type Checks struct {
	stopping atomic.Bool
	mu       sync.Mutex
	checks   map[string]Check
}

// NewChecks returns an empty set.
func NewChecks() *Checks { return &Checks{checks: map[string]Check{}} }

// Add adds a check under a name, for example "database".
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks[name] = check
}

// Stop makes the process unready permanently, because it is about to end.
func (c *Checks) Stop() { c.stopping.Store(true) }

// Report is the response of /readyz.
type Report struct {
	// Status is the worst status of the checks.
	Status Status `json:"status"`
	// Checks are the results by name.
	Checks map[string]Result `json:"checks"`
}

// Run runs every check at once and waits for them.
func (c *Checks) Run(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c.mu.Lock()
	checks := maps.Clone(c.checks)
	c.mu.Unlock()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		results = make(map[string]Result, len(checks)+1)
	)
	for name, check := range checks {
		wg.Go(func() {
			result := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[name] = result
		})
	}
	wg.Wait()
	if c.stopping.Load() {
		results["process"] = Result{Down, "stopping"}
	}
	return Report{Status: worst(results), Checks: results}
}

func worst(results map[string]Result) Status {
	status := Up
	for _, r := range results {
		if r.Status == Down {
			return Down
		}
		if r.Status == Degraded {
			status = Degraded
		}
	}
	return status
}

// Handler serves the operators' routes.
func Handler(checks *Checks, metrics http.Handler, version any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "up"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		report := checks.Run(r.Context())
		status := http.StatusOK
		if report.Status == Down {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, report)
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, version) })
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has disconnected
}

// Serve serves a handler on the listener until ctx ends.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve operations: %w", err)
	case <-ctx.Done():
	}
	// Close does not wait for a running profile.
	err := server.Close()
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
