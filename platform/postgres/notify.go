package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxPayload is the limit of Postgres for the text of a notification, in bytes.
const maxPayload = 7999

// Notify sends a notification to all listeners on the channel when the transaction
// commits. Notifications may be lost, so a listener must also be able to read what it
// missed.
func Notify(ctx context.Context, tx pgx.Tx, channel, payload string) error {
	if len(payload) > maxPayload {
		return internal(fmt.Errorf("postgres: a notification on %s has %d bytes, more than %d", channel, len(payload), maxPayload))
	}
	_, err := TxExec(ctx, tx, "SELECT pg_notify($1, $2)", channel, payload)
	return err
}
