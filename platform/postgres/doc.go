// Package postgres is how Gatehouse's services speak to their database: pools
// with one role per service, tenancy by row level security, transactions,
// notifications and migrations. Driver errors end here and come out as faults.
//
// # Roles
//
// The URL that an operator gives is the administrator's. Migrations run as it;
// no service does. A service connects as its own login role, "gatehouse_auth"
// for example, whose password derives from the installation's secret key, so
// that it is stored nowhere. [Open] refuses a role that could see past row level
// security: a superuser, one with BYPASSRLS, an owner of tables, or a member of
// any of these. Otherwise each test of isolation would pass and mean nothing.
//
// # Scope
//
// Each statement runs in a [Scope], which says for which organization and user.
// It is set locally in the transaction, pipelined with what is to be run:
//
//	name, err := postgres.QueryOne(ctx, db, scope, pgx.RowTo[string],
//		"SELECT name FROM assistant WHERE id = $1", id)
//	if errors.Is(err, postgres.ErrNoRows) {
//		return "", fault.NotFound("assistant")
//	}
//
// takes one round trip. Nothing survives the transaction, so neither the pool
// nor a pooler in transaction mode can hand one tenant's setting to the next.
// The zero Scope sees no organization's rows.
//
// # Transactions
//
//	err := db.InTx(ctx, scope, func(ctx context.Context, tx pgx.Tx) error {
//		if _, err := postgres.TxExec(ctx, tx, "UPDATE …"); err != nil {
//			return err
//		}
//		return postgres.Notify(ctx, tx, "assistant_changed", id)
//	})
//
// The function may run several times: serialization failures and deadlocks are
// retried, and nothing else is. It must not do anything that a rollback does not
// undo.
//
// # Poolers
//
// A DirectURL that differs from the URL says that a pooler in transaction mode
// stands in front of the latter. Prepared statements are then not used, and what
// needs a session (LISTEN, migrations, advisory locks) goes to the DirectURL.
// Settings are attributes of the roles, because such a pooler refuses or loses
// those of a session.
//
// Statements must work in both modes. In the second one the server infers each
// parameter's type from the statement alone: cast where it cannot
// ("$1::uuid[]"), and pass JSON as [JSON].
//
// # Errors
//
//   - [ErrNoRows] and [ViolatedConstraint] are for the stores, which know what
//     they mean.
//   - A lost or exhausted database is DATABASE_UNAVAILABLE, with a time to wait.
//   - A statement that ran into its timeout is DEADLINE_EXCEEDED.
//   - Text that Postgres cannot hold (NUL, broken UTF-8) is INVALID_ARGUMENT.
//   - Anything else is INTERNAL. The server's message, detail and SQLSTATE are
//     the cause, for the log; a client never sees them.
package postgres
