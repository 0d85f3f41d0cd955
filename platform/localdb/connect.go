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

// ErrNoExtension means that Postgres is installed without a required extension.
var ErrNoExtension = errors.New("localdb: this Postgres lacks an extension that Gatehouse needs; run deploy/setup/postgres.sh")

// maintenanceDatabase exists in every cluster.
const maintenanceDatabase = "postgres"

// probe connects as the administrator and checks that the server uses the expected data
// directory.
func probe(ctx context.Context, at home, password string) error {
	conn, err := connect(ctx, at, password, maintenanceDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection is not used any more
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != at.data {
		return fmt.Errorf("the server at %s uses the data in %s, not in %s", at.socketDir, data, at.data)
	}
	return nil
}

func connect(ctx context.Context, at home, password, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, at.url(password, database))
}

// startingUp reports whether an error means that the server is starting or stopping, so
// that it makes sense to wait.
func startingUp(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(pg.Code, "57P") // shutting down, starting up
	}
	return errors.Is(err, fs.ErrNotExist) || // no socket yet
		errors.Is(err, syscall.ECONNREFUSED) || // a socket without a server
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		pgconn.SafeToRetry(err) && !errors.Is(err, context.DeadlineExceeded)
}

// prepareDatabase creates the database when it is missing, and checks that the extensions
// are available. It checks with each start, because an upgrade of Postgres by the
// distribution may not include pgvector.
func prepareDatabase(ctx context.Context, at home, password string) error {
	conn, err := connect(ctx, at, password, maintenanceDatabase)
	if err != nil {
		return fmt.Errorf("localdb: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the connection is not used any more
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
