package localdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoExtension says that Postgres is there, and an extension is not.
var ErrNoExtension = errors.New("localdb: this Postgres lacks an extension that Gatehouse needs; run deploy/setup/postgres.sh")

// maintenanceDatabase exists in every cluster.
const maintenanceDatabase = "postgres"

// probe connects as the administrator and makes sure that the server works on
// our data.
func probe(ctx context.Context, at home, password string) error {
	conn, err := connect(ctx, at, password, maintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with this connection
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != at.data {
		return fmt.Errorf("the server behind %s works on %s, not on %s", at.socketDir, data, at.data)
	}
	return nil
}

func connect(ctx context.Context, at home, password, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, at.url(password, database))
}

// startingUp tells the errors of a server that is on its way up or down from
// those that waiting does not cure.
func startingUp(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pg.Code, "57P") // shutting down, starting up
	}
	return errors.Is(err, fs.ErrNotExist) || // no socket yet
		errors.Is(err, syscall.ECONNREFUSED) || // a socket that nobody serves
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		pgconn.SafeToRetry(err) && !errors.Is(err, context.DeadlineExceeded)
}

// prepareDatabase makes sure that our database is there and that the
// extensions can be. It looks each time: a distribution's upgrade of Postgres
// may have left pgvector behind.
func prepareDatabase(ctx context.Context, at home, password string) error {
	conn, err := connect(ctx, at, password, maintenanceDatabase)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with this connection
	var databases, extensions int
	err = conn.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM pg_database WHERE datname = $1),
		(SELECT count(*) FROM pg_available_extensions WHERE name IN ('vector', 'pg_trgm'))`,
		databaseName).Scan(&databases, &extensions)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	if extensions < 2 {
		return ErrNoExtension
	}
	if databases == 0 {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{databaseName}.Sanitize()); err != nil {
			return fmt.Errorf("localdb: %w", err)
		}
	}
	return nil
}
