package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/id"
)

// setScope is sent before a single statement, in the same pipeline.
const setScope = "SELECT set_config('app.organization_id', $1, true), set_config('app.user_id', $2, true)"

// Scope is the organization and the user of a statement. Row level security compares it
// with the rows. An empty field matches no row.
type Scope struct {
	// OrganizationID is the organization whose rows are visible.
	OrganizationID string
	// UserID is the user whose rows a policy may show across organizations:
	// memberships, for example.
	UserID string
}

// validate makes it safe to write a scope into SQL text, and finds a mistake before the
// server's cast to uuid does.
func (s Scope) validate() error {
	for _, value := range []string{s.OrganizationID, s.UserID} {
		if value != "" && !id.Valid(value) {
			return internal(errors.New("postgres: an id in the scope is not a UUID in canonical form"))
		}
	}
	return nil
}

// Enter changes the scope of the following statements of a transaction. It is for code
// that finds the organization or user within the transaction, or writes for several.
func Enter(ctx context.Context, tx pgx.Tx, scope Scope) error {
	if err := scope.validate(); err != nil {
		return err
	}
	_, err := TxExec(ctx, tx, setScope, scope.OrganizationID, scope.UserID)
	return err
}

// begin returns the SQL text that opens a transaction in the scope. It is sent as one
// simple query, so the scope costs no round trip. The values are valid UUIDs or empty,
// so they need no quoting.
func (s Scope) begin(opts pgx.TxOptions) string {
	var b strings.Builder
	b.WriteString("BEGIN")
	if opts.IsoLevel != "" {
		b.WriteString(" ISOLATION LEVEL " + string(opts.IsoLevel))
	}
	if opts.AccessMode != "" {
		b.WriteString(" " + string(opts.AccessMode))
	}
	if opts.DeferrableMode != "" {
		b.WriteString(" " + string(opts.DeferrableMode))
	}
	b.WriteString("; SELECT set_config('app.organization_id', '" + s.OrganizationID +
		"', true), set_config('app.user_id', '" + s.UserID + "', true)")
	return b.String()
}
