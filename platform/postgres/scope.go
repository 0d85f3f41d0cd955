package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/id"
)

// setScope is pipelined before a single statement.
const setScope = "SELECT set_config('app.organization_id', $1, true), set_config('app.user_id', $2, true)"

// Scope says for whom a statement runs. Row level security compares it with the
// rows; a field that is empty matches none.
type Scope struct {
	// OrganizationID is the organization whose rows are seen.
	OrganizationID string
	// UserID is the user of whom a policy may show rows across organizations:
	// memberships, for example.
	UserID string
}

// validate guards the one place where a scope is written into SQL text, and
// finds a mistake before the server's cast to uuid does.
func (s Scope) validate() error {
	for _, value := range []string{s.OrganizationID, s.UserID} {
		if value != "" && !id.Valid(value) {
			return internal(errors.New("postgres: a scope holds an id that is no UUID in canonical spelling"))
		}
	}
	return nil
}

// Enter changes the scope of what follows in a transaction: for code that learns
// within it for whom it runs, or that writes for several.
func Enter(ctx context.Context, tx pgx.Tx, scope Scope) error {
	if err := scope.validate(); err != nil {
		return err
	}
	_, err := TxExec(ctx, tx, setScope, scope.OrganizationID, scope.UserID)
	return err
}

// begin is the text that opens a transaction in the scope. It goes out as one
// simple query, so a transaction costs no more round trips than without scope.
// The values are valid UUIDs or empty, so there is nothing in them to quote.
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
