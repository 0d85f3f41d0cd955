package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// MaxSkew is how far the clock of a process may be from the database's, which all of
// them share: tokens are verified with as much leeway.
const MaxSkew = 30 * time.Second

// CheckClock says by how much this process's clock is wrong when that is more than
// [MaxSkew]: it would take good tokens for expired or not yet issued.
func CheckClock(ctx context.Context, db *DB, clk clock.Clock) error {
	before := clk.Now()
	theirs, err := QueryOne(ctx, db, Scope{}, pgx.RowTo[time.Time], "SELECT clock_timestamp()")
	if err != nil {
		return err
	}
	// The answer took a while, somewhere in which theirs was read.
	skew := time.Duration(0)
	switch after := clk.Now(); {
	case theirs.Before(before):
		skew = theirs.Sub(before)
	case theirs.After(after):
		skew = theirs.Sub(after)
	}
	if skew.Abs() <= MaxSkew {
		return nil
	}
	return fmt.Errorf("the clock of this machine differs from the database's by %s, more than %s: synchronize both", (-skew).Round(time.Second), MaxSkew)
}
