package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxPayload is Postgres' limit of a notification's text.
const maxPayload = 7999

// Notify announces something to all who listen on the channel, when and if the
// transaction commits. Notifications may be lost: who listens must be able to
// catch up by reading.
func Notify(ctx context.Context, tx pgx.Tx, channel, payload string) error {
	if len(payload) > maxPayload {
		return internal(fmt.Errorf("postgres: a notification on %s has %d bytes, more than %d", channel, len(payload), maxPayload))
	}
	_, err := TxExec(ctx, tx, "SELECT pg_notify($1, $2)", channel, payload)
	return err
}
