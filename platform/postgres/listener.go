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
	// defaultProbeEvery is how often a listener checks that it receives notifications.
	defaultProbeEvery = 5 * time.Second
	// maxBackoff bounds the wait between two attempts to connect.
	maxBackoff = 3 * time.Second
)

// Listener receives notifications on one direct connection. It reconnects whenever the
// connection is lost.
//
// LISTEN through a pooler succeeds but never delivers, and a connection can die without
// an error. So a listener regularly sends itself a notification through the pool. It is
// not healthy ([Listener.Healthy]) until it receives that notification.
type Listener struct {
	db         *DB
	handlers   map[string]func(ctx context.Context, payload string)
	onConnect  []func(ctx context.Context)
	probeEvery time.Duration
	echo       string
	healthy    atomic.Bool
}

// NewListener returns a listener without handlers. Add handlers, then run it.
func (db *DB) NewListener() *Listener {
	return &Listener{
		db:         db,
		handlers:   map[string]func(context.Context, string){},
		probeEvery: defaultProbeEvery,
		echo:       "gatehouse_echo_" + strings.ToLower(rand.Text()),
	}
}

// Handle sets the function that is called for each notification on the channel, one at a
// time and in order. The function must be quick. Call Handle only before Run.
func (l *Listener) Handle(channel string, fn func(ctx context.Context, payload string)) {
	l.handlers[channel] = fn
}

// OnConnect adds a function that is called after each connect, including the first. The
// function can read the changes that were missed: later notifications are not lost.
func (l *Listener) OnConnect(fn func(ctx context.Context)) {
	l.onConnect = append(l.onConnect, fn)
}

// Healthy reports whether the listener received its last notification to itself.
func (l *Listener) Healthy() bool { return l.healthy.Load() }

// Run listens until ctx ends, and then returns nil.
func (l *Listener) Run(ctx context.Context) error {
	failures := 0
	for {
		worked, err := l.session(ctx)
		l.healthy.Store(false)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is how Run is stopped
		}
		if worked {
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

// session listens on one connection until it fails, and reports whether it received its
// own notification at least once.
func (l *Listener) session(ctx context.Context) (worked bool, err error) {
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

// receive calls the handlers, and regularly sends itself a notification.
func (l *Listener) receive(ctx context.Context, conn *pgx.Conn) (worked bool, err error) {
	for {
		sent := l.probe(ctx)
		echoed, err := l.until(ctx, conn, l.probeEvery)
		worked = worked || echoed
		if err != nil {
			return worked, err
		}
		// A probe that could not be sent proves nothing about this connection.
		if sent && !echoed {
			return worked, errors.New("it does not receive its own notifications: the direct URL belongs to a pooler, or the connection is dead")
		}
	}
}

// until receives notifications for a duration, and reports whether the listener's own
// notification was among them.
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

// probe sends the listener's own notification. It uses the pool, as all senders do: on
// the same connection even a pooler may deliver.
func (l *Listener) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	_, err := Exec(ctx, l.db, Scope{}, "SELECT pg_notify($1, '')", l.echo)
	if err != nil {
		l.healthy.Store(false)
	}
	return err == nil
}

// call calls a handler. It recovers from a panic, because the listener serves other
// handlers too.
func (l *Listener) call(ctx context.Context, channel string, fn func(context.Context, string), payload string) {
	defer func() {
		if recovered := recover(); recovered != nil {
			l.db.cfg.Log.ErrorContext(ctx, "a handler of database notifications panicked",
				"channel", channel, "panic", fmt.Sprint(recovered), "stack", string(debug.Stack()))
		}
	}()
	fn(ctx, payload)
}
