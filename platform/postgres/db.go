package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// DB is a pool of connections of one service's role.
type DB struct {
	pool   *pgxpool.Pool
	cfg    Config
	role   Role
	listen *pgx.ConnConfig
	gauge  metric.Registration
}

// Open connects as a service's role, and checks that row level security restricts the
// role. It fails when the database cannot be reached. An open pool reconnects by itself
// after every lost connection.
func Open(ctx context.Context, cfg Config, role Role) (*DB, error) {
	if err := errors.Join(cfg.Validate(), role.validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	poolConfig, err := cfg.poolConfig(role)
	if err != nil {
		return nil, err
	}
	listen, err := cfg.connConfig(cfg.direct(), role)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := &DB{pool: pool, cfg: cfg, role: role, listen: listen}
	if err := db.checkRole(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	if db.gauge, err = observePool(cfg, role, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// Close closes all connections. It waits for those in use.
func (db *DB) Close() {
	// Unregister fails only when the provider was stopped before.
	_ = db.gauge.Unregister()
	db.pool.Close()
}

// Role returns the service that the pool belongs to.
func (db *DB) Role() Role { return db.role }

// Pooled reports whether there is a pooler in transaction mode between the pool and the
// database. LISTEN does not work through such a pooler, so its users must poll.
func (db *DB) Pooled() bool { return db.cfg.pooled() }

// Pool returns the pool itself, for platform/jobs. Stores use the functions of this
// package: a statement on the pool has no scope, and sees no tenant's rows.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping checks that the database responds, for readiness.
func (db *DB) Ping(ctx context.Context) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	return toFault(conn.Ping(ctx))
}

// acquire takes a connection from the pool. It waits at most acquireTimeout.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	short, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	conn, err := db.pool.Acquire(short)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, fault.From(ctx.Err())
	default:
		return nil, unavailable(err)
	}
}

// connConfig parses a connection string, and replaces the administrator's name and
// password with the role's.
func (c Config) connConfig(url string, role Role) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return config, c.becomeRole(config, role)
}

func (c Config) becomeRole(config *pgx.ConnConfig, role Role) error {
	pass, err := password(c.SecretKey, role)
	if err != nil {
		return err
	}
	config.User, config.Password = role.login(), pass
	config.ConnectTimeout = connectTimeout
	config.Tracer = c.tracer(role)
	return nil
}

func (c Config) poolConfig(role Role) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := c.becomeRole(config.ConnConfig, role); err != nil {
		return nil, err
	}
	if c.pooled() {
		// With a pooler in transaction mode, prepared statements fail, and statements
		// that were described before return rows of another query without an error.
		// This mode sends the full text of each statement.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.ConnConfig.StatementCacheCapacity = 0
		config.ConnConfig.DescriptionCacheCapacity = 0
	} else {
		// Each connection reserves memory for the whole capacity. A service has some
		// tens of statements.
		config.ConnConfig.StatementCacheCapacity = statementCache
		config.ConnConfig.DescriptionCacheCapacity = 0 // only other modes use it
	}
	config.MaxConns = c.MaxConns
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 15 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	config.PingTimeout = acquireTimeout
	return config, nil
}

// checkRole makes the first connection, and refuses a role that row level security does
// not restrict, directly or after SET ROLE.
func (db *DB) checkRole(ctx context.Context) error {
	var superuser, bypasses, owns bool
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout+connectTimeout)
	defer cancel()
	err := db.pool.QueryRow(ctx, `
		SELECT bool_or(r.rolsuper), bool_or(r.rolbypassrls), bool_or(EXISTS (
			SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm')
			AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'))
		FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'member')`).Scan(&superuser, &bypasses, &owns)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "28P01", "28000":
			return fmt.Errorf("postgres: the database refuses %s: it was not migrated yet, or it was migrated with another secret key (gatehouse migrate reports which)", db.role.login())
		case "3D000":
			return fmt.Errorf("postgres: there is no database %q", db.cfg.database())
		}
	}
	if err != nil {
		return toFault(err)
	}
	var reasons []error
	for reason, applies := range map[string]bool{
		"is a superuser": superuser, "has BYPASSRLS": bypasses, "owns tables": owns,
	} {
		if applies {
			reasons = append(reasons, fmt.Errorf("postgres: %s %s, itself or through a role that it is a member of: row level security would not restrict it", db.role.login(), reason))
		}
	}
	return errors.Join(reasons...)
}

// database returns the name of the database in the URL, for messages.
func (c Config) database() string {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return ""
	}
	return config.Database
}

func unavailable(cause error) *fault.Fault {
	return fault.Wrap(cause, faultv1.Reason_REASON_DATABASE_UNAVAILABLE,
		"the database cannot be reached").WithRetryAfter(retryAfter)
}
