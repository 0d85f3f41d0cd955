package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
)

const (
	// defaultProbeEvery is how often a listener makes sure that it still hears.
	defaultProbeEvery = 5 * time.Second
	// maxBackoff bounds the wait between two attempts to connect.
	maxBackoff = 3 * time.Second
)

// Listener receives notifications on one direct connection, which it opens
// again whenever it is lost.
//
// LISTEN through a pooler succeeds and never delivers, and a connection can die
// without a word. So a listener regularly notifies itself, by way of the pool,
// and counts as deaf ([Listener.Healthy]) until it hears that.
type Listener struct {
	db         *DB
	handlers   map[string]func(ctx context.Context, payload string)
	onConnect  []func(ctx context.Context)
	probeEvery time.Duration
	echo       string
	healthy    atomic.Bool
}

// NewListener returns a listener that hears nothing yet: give it handlers, then
// run it.
func (db *DB) NewListener() *Listener {
	return &Listener{
		db:         db,
		handlers:   map[string]func(context.Context, string){},
		probeEvery: defaultProbeEvery,
		echo:       "gatehouse_echo_" + strings.ToLower(rand.Text()),
	}
}

// Handle has fn called for each notification on the channel, one at a time and
// in order; it must be quick. All handlers are set before Run.
func (l *Listener) Handle(channel string, fn func(ctx context.Context, payload string)) {
	l.handlers[channel] = fn
}

// OnConnect has fn called after each connect, the first one included, when new
// notifications are already being kept: it reads what was missed.
func (l *Listener) OnConnect(fn func(ctx context.Context)) {
	l.onConnect = append(l.onConnect, fn)
}

// Healthy tells whether the listener heard itself lately.
func (l *Listener) Healthy() bool { return l.healthy.Load() }

// Run listens until ctx ends, and then returns nil.
func (l *Listener) Run(ctx context.Context) error {
	failures := 0
	for {
		heard, err := l.session(ctx)
		l.healthy.Store(false)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is stopped
		}
		if heard {
			failures = 0
		}
		failures++
		l.db.cfg.Log.WarnContext(ctx, "the listener for database notifications lost its connection", "role", string(l.db.role), "error", err)
		limit := min(maxBackoff, 50*time.Millisecond<<min(failures, 10))
		if clock.Sleep(ctx, l.db.cfg.Clock, limit/2+mathrand.N(limit/2)) != nil { //nolint:gosec // only spreads the attempts
			return nil //nolint:nilerr // as above
		}
	}
}

// session listens on one connection until it fails, and tells whether it ever
// heard anything.
func (l *Listener) session(ctx context.Context) (heard bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, l.db.listen)
	if err != nil {
		return false, err
	}
	defer closeAdmin(ctx, conn)
	var statements strings.Builder
	fmt.Fprintf(&statements, "LISTEN %s;", pgx.Identifier{l.echo}.Sanitize())
	for channel := range l.handlers {
		fmt.Fprintf(&statements, "LISTEN %s;", pgx.Identifier{channel}.Sanitize())
	}
	if _, err := conn.Exec(ctx, statements.String()); err != nil {
		return false, err
	}
	for _, fn := range l.onConnect {
		l.call(ctx, "", func(ctx context.Context, _ string) { fn(ctx) }, "")
	}
	return l.receive(ctx, conn)
}

// receive hands out notifications, and notifies itself in between.
func (l *Listener) receive(ctx context.Context, conn *pgx.Conn) (heard bool, err error) {
	for {
		sent := l.probe(ctx)
		echoed, err := l.until(ctx, conn, l.probeEvery)
		heard = heard || echoed
		if err != nil {
			return heard, err
		}
		// A probe that could not be sent says nothing about this connection.
		if sent && !echoed {
			return heard, errors.New("it does not hear its own notifications: a pooler in the way of the direct URL, or a dead connection")
		}
	}
}

// until waits for notifications for a while, and tells whether the echo was
// among them.
func (l *Listener) until(ctx context.Context, conn *pgx.Conn, wait time.Duration) (echoed bool, err error) {
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		notification, err := conn.WaitForNotification(short)
		switch {
		case err != nil && short.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
			return echoed, nil
		case err != nil:
			return echoed, err
		case notification.Channel == l.echo:
			echoed = true
			l.healthy.Store(true)
		default:
			l.call(ctx, notification.Channel, l.handlers[notification.Channel], notification.Payload)
		}
	}
}

// probe goes by way of the pool, because that is the way of all others: on the
// same connection even a pooler may deliver.
func (l *Listener) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	_, err := Exec(ctx, l.db, Scope{}, "SELECT pg_notify($1, '')", l.echo)
	if err != nil {
		l.healthy.Store(false)
	}
	return err == nil
}

// call keeps a handler's panic from ending the process: the listener serves
// others too.
func (l *Listener) call(ctx context.Context, channel string, fn func(context.Context, string), payload string) {
	defer func() {
		if recovered := recover(); recovered != nil {
			l.db.cfg.Log.ErrorContext(ctx, "a handler of database notifications panicked",
				"channel", channel, "panic", fmt.Sprint(recovered), "stack", string(debug.Stack()))
		}
	}()
	fn(ctx, payload)
}
