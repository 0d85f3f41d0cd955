package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// side is one of the two that measureMe compares.
type side struct {
	running *process
	request func(ctx context.Context) error
	rates   []float64
	spent   cpu
}

// measureMe compares GET /v1/me with the least that could answer it. The two
// take turns, so that both meet the machine in the same mood, and the ratio is
// the median of the rounds' ratios.
func measureMe(ctx context.Context, b *bench) error {
	bare := newClient()
	defer bare.CloseIdleConnections()
	floorURL := b.floor.HTTP + "/v1/me?id=" + url.QueryEscape(b.api.userID)
	ours := &side{running: b.product.running, request: func(ctx context.Context) error {
		return get(ctx, b.api.client, b.api.base+"/v1/me", b.api.token)
	}}
	least := &side{running: b.floor.running, request: func(ctx context.Context) error { return get(ctx, bare, floorURL, "") }}
	var ratios []float64
	for n := range b.opts.rounds + 1 {
		for _, s := range []*side{ours, least} {
			if err := b.round(ctx, s); err != nil {
				return err
			}
		}
		if n == 0 { // both opened their connections and warmed up
			ours.reset()
			least.reset()
			continue
		}
		ratios = append(ratios, ours.rates[n-1]/least.rates[n-1])
	}
	ratio, total := median(ratios), b.opts.rounds*b.opts.requests
	b.table.add(row{
		what:     fmt.Sprintf("GET /v1/me at %d clients, of the floor's rate (median of %d rounds)", b.opts.clients, len(ratios)),
		measured: fmt.Sprintf("%.2f (%s/s)", ratio, count(median(ours.rates))),
		floor:    fmt.Sprintf("bare handler, one query: %s/s", count(median(least.rates))),
		aim:      "at least 0.50", met: ratio >= 0.5,
	}, row{
		what: "processor time for each of these requests", measured: ours.spent.per(total),
		floor: "bare handler: " + least.spent.per(total),
	})
	return nil
}

func (s *side) reset() { s.rates, s.spent = nil, cpu{} }

// round measures how many requests a second a side answers, and what they cost.
func (b *bench) round(ctx context.Context, s *side) error {
	spent, err := b.cpuSince(s.running)
	if err != nil {
		return err
	}
	began := clock.System().Now()
	err = together(ctx, b.opts.clients, b.opts.requests, func(ctx context.Context, _ int) error { return s.request(ctx) })
	if err != nil {
		return err
	}
	s.rates = append(s.rates, float64(b.opts.requests)/clock.System().Now().Sub(began).Seconds())
	used, err := spent()
	s.spent = s.spent.plus(used)
	return err
}
