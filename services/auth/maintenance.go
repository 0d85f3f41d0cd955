package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/room"
)

// sweepEvery is the interval at which the service deletes expired rows.
const sweepEvery = time.Minute

// maintain deletes expired rows every minute until ctx ends, and logs what fails.
func (s *Service) maintain(ctx context.Context) {
	for {
		for _, sweep := range s.sweeps() {
			if err := sweep.Do(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "maintenance failed", "task", sweep.Name, "error", err)
			}
		}
		if clock.Sleep(ctx, s.clock, sweepEvery) != nil {
			return
		}
	}
}

// Sweep deletes the expired rows once. Run does the same every minute.
func (s *Service) Sweep(ctx context.Context) error {
	var problems []error
	for _, sweep := range s.sweeps() {
		if err := sweep.Do(ctx); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", sweep.Name, err))
		}
	}
	return errors.Join(problems...)
}

// sweeps returns the sweeps of all rooms, and that of the stored answers for
// Idempotency-Keys, which belong to all services. A test in cmd/surface finds a table
// with expiring rows that no sweep deletes.
func (s *Service) sweeps() []room.Sweep {
	return append(s.rooms.Sweeps(), room.Sweep{Name: "delete the stored answers for Idempotency-Keys", Do: func(ctx context.Context) error {
		_, err := s.answers.Sweep(ctx)
		return err
	}})
}
