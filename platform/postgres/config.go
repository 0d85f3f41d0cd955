package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// secretKeySize is the size of the installation's secret key in bytes.
	secretKeySize = 32
	// defaultMaxConns keeps four services below the limit of a small server.
	defaultMaxConns = 10
	// statementCache is the number of prepared statements that a connection keeps.
	statementCache = 128
	// acquireTimeout and connectTimeout are short: when the database is down, a request
	// fails soon with 503 and does not wait for its own deadline.
	acquireTimeout = 2 * time.Second
	connectTimeout = 2 * time.Second
)

// Config is the address of the database and the options for its use.
type Config struct {
	// URL is the administrator's connection string. Services replace its user and
	// password with their own.
	URL string
	// DirectURL connects to the same database without a pooler. Empty means the URL.
	DirectURL string
	// SecretKey is the installation's key, of 32 bytes.
	SecretKey []byte
	// MaxConns bounds the pool; 0 means 10.
	MaxConns int32
	// Log receives warnings and errors. Nil discards them.
	Log *slog.Logger
	// MeterProvider and TracerProvider may be nil: then nothing is measured.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
	// Clock may be nil: then the system's clock is used.
	Clock clock.Clock
}

// Validate returns an error that lists every problem of the configuration.
func (c Config) Validate() error {
	var problems []error
	if c.URL == "" {
		problems = append(problems, errors.New("postgres: no database URL given"))
	} else if _, err := pgxpool.ParseConfig(c.URL); err != nil {
		// pgx redacts the password in its errors.
		problems = append(problems, fmt.Errorf("postgres: database URL: %w", err))
	}
	if c.DirectURL != "" {
		if _, err := pgx.ParseConfig(c.DirectURL); err != nil {
			problems = append(problems, fmt.Errorf("postgres: direct database URL: %w", err))
		}
	}
	if len(c.SecretKey) != secretKeySize {
		problems = append(problems, fmt.Errorf("postgres: the secret key has %d bytes, want %d", len(c.SecretKey), secretKeySize))
	}
	if c.MaxConns < 0 {
		problems = append(problems, fmt.Errorf("postgres: MaxConns is %d, want 0 or more", c.MaxConns))
	}
	return errors.Join(problems...)
}

// pooled reports whether the URL belongs to a pooler in transaction mode.
func (c Config) pooled() bool { return c.DirectURL != "" && c.DirectURL != c.URL }

func (c Config) direct() string {
	if c.DirectURL != "" {
		return c.DirectURL
	}
	return c.URL
}

func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MeterProvider == nil {
		c.MeterProvider = metricnoop.NewMeterProvider()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = tracenoop.NewTracerProvider()
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	return c
}

// Role is a service's name in the database. It is also the name of the service's schema.
// The service's login role has the prefix "gatehouse_".
type Role string

// login returns the name of the role as which the service connects.
func (r Role) login() string { return "gatehouse_" + string(r) }

// jobsSchema returns the name of the schema of the service's job queue.
func (r Role) jobsSchema() string { return "jobs_" + string(r) }

func (r Role) validate() error {
	if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`).MatchString(string(r)) {
		return fmt.Errorf("postgres: %q is not a role: want lower-case letters, digits and underscores", string(r))
	}
	return nil
}
