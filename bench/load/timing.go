package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
)

// measureTiming compares how long wrong passwords take at an address with an account and
// at addresses without one, in random order, one after the other. The times must not show
// which address has an account.
func measureTiming(ctx context.Context, b *bench) error {
	var known, unknown []float64
	order := make([]bool, 2*b.opts.tries)
	for i := range order {
		order[i] = i%2 == 0
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // only mixes the order
	for n, exists := range order {
		address := adminEmail
		if !exists {
			// As long as the known one, and each another.
			address = id.New()[36-len("admin"):] + adminEmail[len("admin"):]
		}
		took, err := b.api.wrong(ctx, address)
		switch {
		case err != nil:
			return err
		case n < len(order)/50:
			// The first open connections.
		case exists:
			known = append(known, took.Seconds())
		default:
			unknown = append(unknown, took.Seconds())
		}
	}
	statistic, p := kolmogorovSmirnov(known, unknown)
	second := float64(time.Second)
	b.table.add(row{
		what:     fmt.Sprintf("wrong password, %d tries each at a known and at unknown addresses: Kolmogorov-Smirnov", b.opts.tries),
		measured: fmt.Sprintf("D = %.3f, p = %.2f", statistic, p),
		floor: fmt.Sprintf("medians %s known, %s unknown", ms(time.Duration(median(known)*second)),
			ms(time.Duration(median(unknown)*second))),
		aim: "p above 0.05", met: p > 0.05,
	})
	return nil
}

// wrong tries a wrong password and returns how long the refusal took.
func (a *api) wrong(ctx context.Context, address string) (time.Duration, error) {
	asked := clock.System().Now()
	err := a.post(ctx, "/v1/auth/sign-in", map[string]string{"email": address, "password": adminPassword + " not"}, nil)
	took := clock.System().Now().Sub(asked)
	if answer, ok := errors.AsType[*answerError](err); !ok || answer.status != http.StatusUnauthorized {
		return 0, fmt.Errorf("a wrong password was answered %w", err)
	}
	return took, nil
}

// kolmogorovSmirnov is the two-sample Kolmogorov-Smirnov test: the largest distance
// D between the two empirical distributions, and about how probable one as large is
// if both samples are of one distribution. The probability is Kolmogorov's series
// at Stephens' argument, good from a few observations on (M. A. Stephens, Use of
// the Kolmogorov-Smirnov, Cramér-Von Mises and related statistics without extensive
// tables, J. R. Stat. Soc. B 32, 1970).
func kolmogorovSmirnov(a, b []float64) (distance, p float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	n, m := float64(len(a)), float64(len(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := min(a[i], b[j])
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
		distance = max(distance, math.Abs(float64(i)/n-float64(j)/m))
	}
	size := math.Sqrt(n * m / (n + m))
	return distance, kolmogorov((size + 0.12 + 0.11/size) * distance)
}

// kolmogorov is the probability that Kolmogorov's statistic exceeds x.
func kolmogorov(x float64) float64 {
	if x < 0.2 {
		return 1 // to more digits than are shown, where the series converges slowly
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 100; k++ {
		sum += sign * math.Exp(-2*k*k*x*x)
		sign = -sign
	}
	return min(max(2*sum, 0), 1)
}
