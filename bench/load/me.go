package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// measureMe compares GET /v1/me with the least that could answer it. The two
// take turns, so that both meet the machine in the same mood, and the ratio is
// the median of the rounds' ratios.
func measureMe(ctx context.Context, b *bench) error {
	bare := newClient()
	defer bare.CloseIdleConnections()
	floorURL := b.floor.HTTP + "/v1/me?id=" + url.QueryEscape(b.api.userID)
	own := func() (float64, error) {
		return b.rate(ctx, func(ctx context.Context) error {
			return get(ctx, b.api.client, b.api.base+"/v1/me", b.api.token)
		})
	}
	least := func() (float64, error) {
		return b.rate(ctx, func(ctx context.Context) error { return get(ctx, bare, floorURL, "") })
	}
	var ours, floors, ratios []float64
	for n := range b.opts.rounds + 1 {
		mine, err := own()
		if err != nil {
			return err
		}
		theirs, err := least()
		if err != nil {
			return err
		}
		if n == 0 {
			continue // both sides open their connections and warm up
		}
		ours, floors, ratios = append(ours, mine), append(floors, theirs), append(ratios, mine/theirs)
	}
	ratio := median(ratios)
	b.table.add(row{
		what:     fmt.Sprintf("GET /v1/me at %d clients, of the floor's rate (median of %d rounds)", b.opts.clients, len(ratios)),
		measured: fmt.Sprintf("%.2f (%s/s)", ratio, count(median(ours))),
		floor:    fmt.Sprintf("bare handler, one query: %s/s", count(median(floors))),
		aim:      "at least 0.50", met: ratio >= 0.5,
	})
	return nil
}

// rate is how many requests a second the round's clients get answered.
func (b *bench) rate(ctx context.Context, request func(ctx context.Context) error) (float64, error) {
	began := clock.System().Now()
	err := together(ctx, b.opts.clients, b.opts.requests, func(ctx context.Context, _ int) error { return request(ctx) })
	if err != nil {
		return 0, err
	}
	return float64(b.opts.requests) / clock.System().Now().Sub(began).Seconds(), nil
}
