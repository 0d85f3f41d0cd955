package run

import (
	"context"
	"errors"
	"testing"

	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

func TestLiveRuns_FindFor_HidesRunsOfOthers(t *testing.T) {
	t.Parallel()
	runs := newLiveRuns()
	l, _ := executing(t, runs, newFakeClock(), 1)
	if runs.findFor(l.scope, l.run.ID) != l {
		t.Error("the owner does not find the run")
	}
	for name, scope := range map[string]postgres.Scope{
		"another user":         {OrganizationID: l.scope.OrganizationID, UserID: id.New()},
		"another organization": {OrganizationID: id.New(), UserID: l.scope.UserID},
	} {
		if runs.findFor(scope, l.run.ID) != nil {
			t.Errorf("%s finds the run", name)
		}
	}
}

func TestLiveRuns_Cancel_ReachesExecutedRunsOnly(t *testing.T) {
	t.Parallel()
	runs, clk := newLiveRuns(), newFakeClock()
	first, firstCtx := executing(t, runs, clk, 1)
	_, secondCtx := executing(t, runs, clk, 1)
	lost, lostCtx := executing(t, newLiveRuns(), clk, 1)
	runs.addLost(lost)
	runs.cancel(first.run.ID, errCancelled)
	if !errors.Is(context.Cause(firstCtx), errCancelled) || secondCtx.Err() != nil {
		t.Error("not exactly the named run is canceled")
	}
	runs.cancelAll(errInterrupted)
	if !errors.Is(context.Cause(secondCtx), errInterrupted) || lostCtx.Err() != nil {
		t.Error("not exactly the executed runs are interrupted")
	}
}

// A lost run can have the id of a run that is executed here, when another process had the
// run in between. Removing one keeps the other.
func TestLiveRuns_Remove_KeepsAnotherLogOfTheSameRun(t *testing.T) {
	t.Parallel()
	runs := newLiveRuns()
	executed, _ := executing(t, runs, newFakeClock(), 1)
	lost := newLiveRun(executed.scope, executed.run, 3, func(error) {})
	runs.addLost(lost)
	runs.remove(lost)
	if runs.find(executed.run.ID) != executed || len(runs.list()) != 1 {
		t.Error("the executed run was removed")
	}
	runs.remove(executed)
	if runs.find(executed.run.ID) != nil || len(runs.list()) != 0 {
		t.Error("the executed run is kept")
	}
}
