package process

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	first, err := p.prepareSplit(ctx)
	if err != nil {
		p.stack.Unwind()
		return err
	}
	environment = append(environment,
		"GATEHOUSE_DATABASE_URL="+p.database.URL,
		"GATEHOUSE_SECRET_KEY="+base64.StdEncoding.EncodeToString(p.key),
	)
	fmt.Fprintf(out, "Gatehouse starts at %s, as four processes\n", s.PublicURL)
	first.tell(out)
	p.stack.Add("parts", func(ctx context.Context) error {
		return runAll(ctx, binaries, func(part string) []string { return slices.Concat(environment, opsOf(s.OpsAddr, part)) }, logs)
	})
	return p.stack.Run(ctx)
}

// prepareSplit makes the database ready for the parts, with the first operator.
func (p *Process) prepareSplit(ctx context.Context) (credentials, error) {
	if err := p.openDatabase(ctx); err != nil {
		return credentials{}, err
	}
	if err := p.migrate(ctx, false); err != nil {
		return credentials{}, err
	}
	return p.firstOperator(ctx)
}

// partTimeout is how long a part may take to stop. It ends before the stack gives up
// waiting, so that the private Postgres stops last.
const partTimeout = 25 * time.Second

// opsOf gives each part its own port for operators when one was set for all:
// that one and the next, in the order of the ports they have by default.
func opsOf(address, part string) []string {
	host, port, err := net.SplitHostPort(address)
	first, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || first == 0 {
		return nil // by default, or any free one
	}
	next := map[string]int{Gateway: 0, Auth: 1, Management: 2, Chat: 3}[part]
	return []string{"GATEHOUSE_OPS_ADDR=" + net.JoinHostPort(host, strconv.Itoa(first+next))}
}

// runAll runs the four parts until ctx ends or one of them does.
func runAll(ctx context.Context, binaries string, environment func(part string) []string, logs io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []string{Auth, Management, Chat, Gateway}
	problems := make([]error, len(parts))
	var wg sync.WaitGroup
	for n, part := range parts {
		wg.Go(func() {
			defer cancel()                                                     // one part alone is no installation
			command := exec.CommandContext(ctx, filepath.Join(binaries, part)) //nolint:gosec // one of ours
			command.Env, command.Stdout, command.Stderr = environment(part), logs, logs
			// Ctrl-C reaches the whole group: the parts are told by us, once.
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
			command.WaitDelay = partTimeout
			if err := command.Run(); err != nil && ctx.Err() == nil {
				problems[n] = fmt.Errorf("%s: %w", part, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(problems...)
}
