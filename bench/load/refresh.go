package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// measureRefresh has the sessions of many users refreshed at once, each one refresh
// after the other, as its tokens form a chain.
func measureRefresh(ctx context.Context, b *bench) error {
	chains := make([]string, b.opts.chains)
	err := together(ctx, b.opts.clients, len(chains), func(ctx context.Context, n int) (err error) {
		chains[n], err = b.api.signUp(ctx, fmt.Sprintf("refresh-%d@gatehouse.local", n))
		return err
	})
	if err != nil {
		return err
	}
	waits := make([][]time.Duration, len(chains))
	spent, err := b.cpuSince(b.product.running)
	if err != nil {
		return err
	}
	began := clock.System().Now()
	err = together(ctx, len(chains), len(chains), func(ctx context.Context, n int) error {
		for range b.opts.refreshes {
			asked := clock.System().Now()
			if err := b.api.refresh(ctx, &chains[n]); err != nil {
				return err
			}
			waits[n] = append(waits[n], clock.System().Now().Sub(asked))
		}
		return nil
	})
	if err != nil {
		return err
	}
	took, total := clock.System().Now().Sub(began), len(chains)*b.opts.refreshes
	used, err := spent()
	if err != nil {
		return err
	}
	var all []time.Duration
	for _, w := range waits {
		all = append(all, w...)
	}
	rate := float64(total) / took.Seconds()
	b.table.add(row{
		what:     fmt.Sprintf("POST /v1/auth/refresh of %d users at once, %s in all", len(chains), count(float64(total))),
		measured: count(rate) + "/s", floor: fmt.Sprintf("median %s; p99 %s", ms(median(all)), ms(percentile(all, 99))),
		aim: "at least 1,000/s", met: rate >= 1000,
	}, row{what: "processor time for each of these requests", measured: used.per(total)})
	return nil
}

// refreshToken signs in and returns the refresh token of the new session.
func (a *api) refreshToken(ctx context.Context) (string, error) {
	var pair struct{ RefreshToken string }
	err := a.post(ctx, "/v1/auth/sign-in", map[string]string{"email": adminEmail, "password": adminPassword}, &pair)
	return pair.RefreshToken, err
}

// signUp makes an account and returns the refresh token of its first session.
func (a *api) signUp(ctx context.Context, email string) (string, error) {
	var pair struct{ RefreshToken string }
	err := a.post(ctx, "/v1/auth/sign-up", map[string]string{"email": email, "password": adminPassword}, &pair)
	return pair.RefreshToken, err
}

// refresh uses a refresh token up and puts its successor in its place.
func (a *api) refresh(ctx context.Context, token *string) error {
	var pair struct{ RefreshToken string }
	err := a.post(ctx, "/v1/auth/refresh", map[string]string{"refreshToken": *token}, &pair)
	*token = pair.RefreshToken
	return err
}
