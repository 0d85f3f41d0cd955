package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureOneStream measures what the product adds to the time until the first
// token: from the stub's writing it to the reader's having it. The stub thinks
// a while first, as models do, so that what the product does between question
// and model is not in the figure; it is in the one from the question on.
func measureOneStream(ctx context.Context, b *bench) (err error) {
	b.model.set(pace{tokens: 32, first: 20 * time.Millisecond, between: 5 * time.Millisecond})
	bare, err := dialBare(b.floor.GRPC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()
	var added, whole, floors []time.Duration
	for range b.opts.single {
		a, err := b.api.ask(ctx)
		if err != nil {
			return err
		}
		wrote, err := b.model.firstToken(ctx, a.asked)
		if err != nil {
			return err
		}
		least, err := bare.read(ctx, 1)
		if err != nil {
			return err
		}
		added, whole = append(added, a.first.Sub(wrote)), append(whole, wrote.Sub(a.asked)-20*time.Millisecond)
		floors = append(floors, least.first.Sub(least.asked))
	}
	b.table.add(row{
		what:     fmt.Sprintf("first delta after the model's first token, 1 stream (median of %d; p95)", len(added)),
		measured: fmt.Sprintf("%s; %s", ms(median(added)), ms(percentile(added, 95))),
		floor:    fmt.Sprintf("bare gRPC stream, call and first message: %s; %s", ms(median(floors)), ms(percentile(floors, 95))),
		aim:      "at most 3 ms", met: median(added) <= 3*time.Millisecond,
	}, row{
		what:     "question to the model's being asked: message and run stored (median; p95)",
		measured: fmt.Sprintf("%s; %s", ms(median(whole)), ms(percentile(whole, 95))),
	})
	return nil
}
