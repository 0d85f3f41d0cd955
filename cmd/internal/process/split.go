package process

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
)

// Split runs each part in a process of its own, from the binaries in a folder,
// on one database that it keeps for them. It is the shape of a real
// installation, on a laptop.
func Split(ctx context.Context, s settings.Settings, version, binaries string, environment []string, out, logs io.Writer) error {
	p, err := base(ctx, s, "split", version, false, logs)
	if err != nil {
		return err
	}
	defer p.stack.Unwind()
	if err := p.openDatabase(ctx); err != nil {
		return err
	}
	if err := p.migrate(ctx); err != nil {
		return err
	}
	first, err := p.firstOperator(ctx)
	if err != nil {
		return err
	}
	environment = append(environment,
		"GATEHOUSE_DATABASE_URL="+p.database.URL,
		"GATEHOUSE_SECRET_KEY="+base64.StdEncoding.EncodeToString(p.key),
	)
	fmt.Fprintf(out, "Gatehouse starts at %s, as four processes\n", s.PublicURL)
	if first.password != "" {
		fmt.Fprintf(out, "Sign in as %s with the password %s (shown this once)\n", first.email, first.password)
	}
	return runAll(ctx, binaries, environment, logs)
}

// runAll runs the four parts until ctx ends or one of them does.
func runAll(ctx context.Context, binaries string, environment []string, logs io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []string{Auth, Management, Chat, Gateway}
	problems := make([]error, len(parts))
	var wg sync.WaitGroup
	for n, part := range parts {
		wg.Go(func() {
			defer cancel()                                                     // one part alone is no installation
			command := exec.CommandContext(ctx, filepath.Join(binaries, part)) //nolint:gosec // one of ours
			command.Env, command.Stdout, command.Stderr = environment, logs, logs
			// Ctrl-C reaches the whole group: the parts are told by us, once.
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
			command.WaitDelay = 40 * time.Second
			if err := command.Run(); err != nil && ctx.Err() == nil {
				problems[n] = fmt.Errorf("%s: %w", part, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(problems...)
}
