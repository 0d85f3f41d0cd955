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

// Open connects as a service's role and makes sure that row level security
// binds it. It fails when the database cannot be reached; once open, the pool
// heals by itself after every loss.
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

// Close gives all connections back to the server; it waits for those in use.
func (db *DB) Close() {
	// Unregister fails only for a provider that is shut down already.
	_ = db.gauge.Unregister()
	db.pool.Close()
}

// Role returns the service that the pool belongs to.
func (db *DB) Role() Role { return db.role }

// Pooled says that a pooler in transaction mode stands between: LISTEN does not
// work through the pool, and whoever relies on it must poll.
func (db *DB) Pooled() bool { return db.cfg.pooled() }

// Pool returns the pool itself, for platform/jobs. Stores use the functions of
// this package: what goes past them has no scope, and sees no tenant's rows.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping asks the database for an answer, for readiness.
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

// acquire takes a connection out of the pool, within a short time.
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

// connConfig is a connection string with the role's name and password in place
// of the administrator's.
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
		// Through a pooler in transaction mode, prepared statements fail, and
		// statements described ahead return another query's rows without an
		// error. This mode sends each statement whole.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.ConnConfig.StatementCacheCapacity = 0
		config.ConnConfig.DescriptionCacheCapacity = 0
	} else {
		// Each connection reserves room for as many as it may hold. A service has
		// some tens of statements.
		config.ConnConfig.StatementCacheCapacity = statementCache
		config.ConnConfig.DescriptionCacheCapacity = 0 // for another mode
	}
	config.MaxConns = c.MaxConns
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.MaxConnIdleTime = 15 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	config.PingTimeout = acquireTimeout
	return config, nil
}

// checkRole connects for the first time, and refuses a role that row level
// security does not bind, by itself or by SET ROLE.
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
			return fmt.Errorf("postgres: the database refuses %s: it was not migrated yet, or with another secret key (gatehouse migrate says which)", db.role.login())
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
			reasons = append(reasons, fmt.Errorf("postgres: %s %s, itself or through a role that it is a member of: row level security would not bind it", db.role.login(), reason))
		}
	}
	return errors.Join(reasons...)
}

// database is the name in the URL, for messages.
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
