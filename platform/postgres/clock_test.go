package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

func TestCheckClock_LargeDifference_IsAnError(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, set()).Open(t, role)
	for off, want := range map[time.Duration]string{
		0: "", 20 * time.Second: "", -20 * time.Second: "", 10 * time.Minute: "by 10m0s", -10 * time.Minute: "by -10m0s",
	} {
		err := postgres.CheckClock(t.Context(), db, clock.NewFake(clock.System().Now().Add(off)))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s off: %v", off, err)
		}
	}
}
