package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse/gatehouse/platform/health"
)

func TestReadyz_ReportsEachDependency(t *testing.T) {
	t.Parallel()
	up := func(context.Context) health.Result { return health.Result{Status: health.Up} }
	degraded := func(context.Context) health.Result { return health.Result{Status: health.Degraded, Detail: "slow"} }
	down := health.FromError(func(context.Context) error { return errors.New("connection refused") })
	for _, tc := range []struct {
		name   string
		checks map[string]health.Check
		code   int
		status health.Status
	}{
		{"all up", map[string]health.Check{"database": up}, 200, health.Up},
		{"one degraded", map[string]health.Check{"database": up, "model": degraded}, 200, health.Degraded},
		{"one down", map[string]health.Check{"database": down, "model": degraded}, 503, health.Down},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			checks := health.NewChecks()
			for name, check := range tc.checks {
				checks.Add(name, check)
			}
			code, report := readyz(t, checks)
			if code != tc.code || report.Status != tc.status || len(report.Checks) != len(tc.checks) {
				t.Errorf("the response is %d %+v, want %d %s", code, report, tc.code, tc.status)
			}
		})
	}
}

func TestReadyz_ProcessStops_IsUnavailable(t *testing.T) {
	t.Parallel()
	checks := health.NewChecks()
	checks.Stop()
	if code, _ := readyz(t, checks); code != http.StatusServiceUnavailable {
		t.Errorf("the status is %d", code)
	}
}

func readyz(t *testing.T, checks *health.Checks) (int, health.Report) {
	t.Helper()
	recorder := httptest.NewRecorder()
	health.Handler(checks, http.NotFoundHandler(), "test").
		ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	var report health.Report
	if err := json.Unmarshal(recorder.Body.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return recorder.Code, report
}
