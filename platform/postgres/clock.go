package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// MaxSkew is the largest accepted difference between the clock of a process and the
// clock of the database. The verification of tokens has the same leeway.
const MaxSkew = 30 * time.Second

// CheckClock returns an error when the clock of this process differs from the clock of
// the database by more than [MaxSkew]. Such a process would refuse valid tokens as
// expired or not yet issued.
func CheckClock(ctx context.Context, db *DB, clk clock.Clock) error {
	before := clk.Now()
	theirs, err := QueryOne(ctx, db, Scope{}, pgx.RowTo[time.Time], "SELECT clock_timestamp()")
	if err != nil {
		return err
	}
	// The database read its clock at some time between before and after.
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
