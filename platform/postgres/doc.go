// Package postgres connects the services of Gatehouse to their database: pools with
// one role per service, tenancy by row level security, transactions, notifications
// and migrations. It converts the errors of the driver to faults.
//
// # Roles
//
// The URL in the configuration belongs to the administrator. Migrations run as the
// administrator; services never do. A service connects as its own login role,
// "gatehouse_auth" for example. The password of the role is derived from the secret
// key of the installation, so it is stored nowhere. [Open] refuses a role that row
// level security does not restrict: a superuser, a role with BYPASSRLS, an owner of
// tables, or a member of any of these. With such a role, tests of isolation would
// pass and prove nothing.
//
// # Scope
//
// Each statement runs in a [Scope], which names an organization and a user. The scope
// is set locally in the transaction, in one pipeline with the statement:
//
//	name, err := postgres.QueryOne(ctx, db, scope, pgx.RowTo[string],
//		"SELECT name FROM assistant WHERE id = $1", id)
//	if errors.Is(err, postgres.ErrNoRows) {
//		return "", fault.NotFound("assistant")
//	}
//
// takes one round trip. The setting ends with the transaction, so neither the pool
// nor a pooler in transaction mode can pass the setting of one tenant to the next.
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
// The function may run several times, because serialization failures and deadlocks
// are retried. Other errors are not retried. The function must not do anything that a
// rollback does not undo.
//
// # Poolers
//
// When the DirectURL differs from the URL, the URL belongs to a pooler in transaction
// mode. The package then uses no prepared statements, and connects to the DirectURL
// for everything that needs a database session (LISTEN, migrations, advisory locks).
// Settings are attributes of the roles, because such a pooler refuses or loses the
// settings of a session.
//
// Statements must work with and without a pooler. With a pooler, the server infers the
// type of each parameter from the statement alone: add a cast where it cannot
// ("$1::uuid[]"), and pass JSON as [JSON].
//
// # Errors
//
//   - [ErrNoRows] and [ViolatedConstraint] are for the stores, which decide what
//     they mean to a client.
//   - A lost or exhausted database is DATABASE_UNAVAILABLE, with a time to wait.
//   - A statement that exceeds its timeout is DEADLINE_EXCEEDED.
//   - Text that Postgres cannot store (NUL, broken UTF-8) is INVALID_ARGUMENT.
//   - Any other error is INTERNAL. The server's message, detail and SQLSTATE are
//     the cause, for the log; a client never sees them.
package postgres
