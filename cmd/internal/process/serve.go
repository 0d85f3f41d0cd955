package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/notify"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Serve runs every part in one process until ctx ends. Greetings go to out,
// logs to logs.
func Serve(ctx context.Context, s settings.Settings, version string, out, logs io.Writer) error {
	p, err := base(ctx, s, "gatehouse", version, true, logs)
	if err != nil {
		return err
	}
	listener, first, err := p.buildAll(ctx)
	if err != nil {
		p.stack.Unwind()
		first.tell(out) // the account stays, so its password must not be lost
		return err
	}
	fmt.Fprintf(out, "Gatehouse is at http://%s\n", listener.Addr())
	first.tell(out)
	fmt.Fprintf(out, "API: http://%s/docs   Model: %s   Ctrl-C stops\n", listener.Addr(), s.Model)
	return p.Run(ctx)
}

// buildAll builds every part, in the order in which they need each other. The
// first operator's credentials come back beside an error too.
func (p *Process) buildAll(ctx context.Context) (net.Listener, credentials, error) {
	if err := p.openDatabase(ctx); err != nil {
		return nil, credentials{}, err
	}
	if p.settings.Local() {
		if err := p.migrate(ctx, false); err != nil {
			return nil, credentials{}, err
		}
	}
	first, err := p.addAuth(ctx)
	if err != nil {
		return nil, first, err
	}
	if err := errors.Join(p.addManagement(ctx), p.addChat(ctx)); err != nil {
		return nil, first, err
	}
	p.checkPools()
	if err := errors.Join(p.checkPeers(Auth, Management, Chat), p.serveOps(ctx)); err != nil {
		return nil, first, err
	}
	listener, err := p.addGateway(ctx)
	return listener, first, err
}

// credentials are those of the first operator.
type credentials struct {
	email string
	// password is set when it was made just now: it is shown this once.
	password string
}

// tell says how to sign in.
func (c credentials) tell(out io.Writer) {
	switch {
	case c.password != "":
		fmt.Fprintf(out, "Sign in as %s with the password %s (shown this once)\n", c.email, c.password)
	case c.email != "":
		fmt.Fprintf(out, "Sign in as %s\n", c.email)
	}
}

// Migrate brings the database's schema up to date. adoptRoles gives the services' login
// roles this installation's passwords where they were made with another secret key.
func Migrate(ctx context.Context, s settings.Settings, version string, adoptRoles bool, logs io.Writer) error {
	p, err := base(ctx, s, "migrate", version, true, logs)
	if err != nil {
		return err
	}
	defer p.stack.Unwind()
	if err := p.reachDatabase(ctx); err != nil {
		return err
	}
	return p.migrate(ctx, adoptRoles)
}

// Doctor checks the settings, which have been read already, and every
// dependency, and says what to mend.
func Doctor(ctx context.Context, s settings.Settings, version string, out io.Writer) error {
	fmt.Fprintf(out, "settings    ok (%s)\n", s.Env)
	p, err := base(ctx, s, "doctor", version, true, io.Discard)
	if err != nil {
		return err
	}
	defer p.stack.Unwind()
	if err := p.reachDatabase(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, set := range Migrations() {
		if _, err := p.openPool(ctx, set.Role, set); err != nil {
			if fault.Is(err, faultv1.Reason_REASON_DATABASE_UNAVAILABLE) {
				return err
			}
			return fmt.Errorf("%w\nrun: gatehouse migrate", err)
		}
	}
	fmt.Fprintln(out, "database    ok")
	p.checkPools()
	report := p.checks.Run(ctx)
	if detail := report.Checks["migrations"].Detail; detail != "" {
		return fmt.Errorf("migrations: %s\nrun: gatehouse migrate", detail)
	}
	fmt.Fprintln(out, "migrations  ok")
	return p.checkMessages(ctx, out)
}

// checkMessages asks the servers of mail and texts, where there are any.
func (p *Process) checkMessages(ctx context.Context, out io.Writer) error {
	sender, err := notify.Open(p.settings.Messages(), p.clock)
	if err != nil {
		return err
	}
	for _, channel := range []notify.Channel{notify.Email, notify.SMS} {
		name := map[notify.Channel]string{notify.Email: "mail", notify.SMS: "texts"}[channel]
		switch err := sender.Check(ctx, channel); {
		case err == nil:
			fmt.Fprintf(out, "%-11s ok\n", name)
		case !sender.Reaches(channel):
			fmt.Fprintf(out, "%-11s no server is set: they wait\n", name)
		default:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
