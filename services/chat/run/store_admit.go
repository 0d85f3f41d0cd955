package run

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// fullRetry is how long a client waits after a start was refused for too many
// runs.
const fullRetry = 5 * time.Second

// admit refuses a run when the user or the organization already has the most runs. It
// is the last step before the run is added, because other starts of the same user and
// organization wait until the transaction ends.
func (m *Manager) admit(ctx context.Context, tx pgx.Tx, scope postgres.Scope) error {
	if m.cfg.PerUser <= 0 && m.cfg.PerOrganization <= 0 {
		return nil
	}
	full, err := postgres.TxOne(ctx, tx, pgx.RowTo[string], "SELECT admit_run($1::text::uuid, $2::text::uuid, $3, $4)",
		scope.OrganizationID, scope.UserID, m.cfg.PerUser, m.cfg.PerOrganization)
	if err != nil {
		return err
	}
	switch full {
	case "user":
		return tooMany("%d of your messages are being answered, which is the most at once: wait until one is, or cancel one", m.cfg.PerUser)
	case "organization":
		return tooMany("%d messages are being answered in this organization, which is the most at once: try again later", m.cfg.PerOrganization)
	}
	return nil
}

func tooMany(format string, limit int32) error {
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED, format, limit).WithRetryAfter(fullRetry)
}
