package main

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/sources"
)

// The program starts itself to serve the floors; in a test, itself is the test.
func TestMain(m *testing.M) {
	sources.Depend()
	if len(os.Args) > 1 && os.Args[1] == floorCommand {
		exit(serveFloor(context.Background(), os.Stdin, os.Stdout))
		return
	}
	m.Run()
}

// A small run measures everything: no figure of it is judged, but each is there,
// and answers were whole, or the run would have failed.
func TestASmallRunMeasuresEverything(t *testing.T) {
	t.Parallel()
	opts := full().small()
	opts.root, opts.stripped = "../..", false
	var out, log strings.Builder
	if err := run(t.Context(), opts, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	table := out.String()
	for _, want := range []string{
		"stripped binary", "warm start", "resident memory, idle", "GET /v1/me at 4 clients", "1 stream",
		"verify a token not seen lately", "200 different tokens", "refresh of 4 users", "3 sign-ins at once", "GET /v1/me beside them",
		"5 tries each at a known",
		"4 streams at full speed", "8 streams at once", "| 0 of 8 |", "after 8 answers",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if strings.Contains(table, "NaN") || strings.Contains(table, "Inf") {
		t.Errorf("a figure is none:\n%s", table)
	}
}

func TestAnUnknownPartIsRefused(t *testing.T) {
	t.Parallel()
	opts := full()
	opts.only = "everything"
	if err := opts.validate(); err == nil || !strings.Contains(err.Error(), "streams") {
		t.Errorf("%v does not name the parts", err)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[99-i] = time.Duration(i + 1)
	}
	for p, want := range map[float64]time.Duration{1: 1, 50: 50, 99: 99, 100: 100} {
		if got := percentile(hundred, p); got != want {
			t.Errorf("percentile %v is %d, want %d", p, got, want)
		}
	}
	if got := median([]float64(nil)); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestKolmogorovSmirnov(t *testing.T) {
	t.Parallel()
	even, shifted, ties := make([]float64, 1000), make([]float64, 1000), make([]float64, 1000)
	for i := range even {
		even[i], shifted[i], ties[i] = float64(i), float64(i)+70.5, float64(i/500)
	}
	for name, tc := range map[string]struct {
		a, b                  []float64
		distance, least, most float64
	}{
		"the same":     {even, even, 0, 1, 1},
		"shifted":      {even, shifted, 0.071, 0.011, 0.014},
		"apart":        {even[:100], even[900:], 1, 0, 1e-20},
		"with ties":    {ties, ties[250:750], 0, 1, 1},
		"of two sizes": {even, even[:500], 0.5, 0, 1e-60},
	} {
		distance, p := kolmogorovSmirnov(tc.a, tc.b)
		if math.Abs(distance-tc.distance) > 1e-9 || p < tc.least || p > tc.most {
			t.Errorf("%s: D = %v, p = %v", name, distance, p)
		}
	}
	// Of Kolmogorov's table: the critical values at 5 and 1 percent.
	for x, want := range map[float64]float64{1.3581: 0.05, 1.6276: 0.01} {
		if got := kolmogorov(x); math.Abs(got-want) > 1e-4 {
			t.Errorf("at %v: %v, want %v", x, got, want)
		}
	}
}

func TestTogetherStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	failure := errors.New("enough")
	err := together(t.Context(), 4, 1000, func(_ context.Context, n int) error {
		if n == 7 {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if err := together(t.Context(), 4, 1000, func(context.Context, int) error { return nil }); err != nil {
		t.Errorf("without a failure: %v", err)
	}
}

func TestAnAnswerMustBeWhole(t *testing.T) {
	t.Parallel()
	const (
		delta = "data: {\"seq\":1,\"messageDelta\":{\"text\":\"a b\"}}\n\n"
		end   = "data: {\"seq\":2,\"runCompleted\":{\"message\":{\"content\":\"a b\"}}}\n\n"
	)
	for name, tc := range map[string]struct{ stream, want string }{
		"whole":              {delta + end, ""},
		"without an end":     {delta, "without a whole answer"},
		"with a gap":         {strings.Replace(delta, ":1", ":2", 1) + end, "came where 1 was due"},
		"with another text":  {strings.Replace(delta, "a b", "a c", 1) + end, "differ"},
		"that is not events": {"data: nonsense\n\n", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a answer
			err := a.follow(strings.NewReader(tc.stream))
			switch {
			case tc.want == "" && (err != nil || a.tokens != 2 || a.deltas != 1):
				t.Errorf("%+v, %v", a, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
