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

// Split runs each part in a process of its own, from the binaries in a folder. It opens one database
// for all of them. So a laptop runs the same processes as a production installation.
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
	first.print(out)
	p.stack.Add("parts", func(ctx context.Context) error {
		return runAll(ctx, binaries, func(part string) []string { return slices.Concat(environment, opsOf(s.OpsAddr, part)) }, logs)
	})
	return p.stack.Run(ctx)
}

// prepareSplit migrates the database and creates the first operator.
func (p *Process) prepareSplit(ctx context.Context) (credentials, error) {
	if err := p.openDatabase(ctx); err != nil {
		return credentials{}, err
	}
	if err := p.migrate(ctx, false); err != nil {
		return credentials{}, err
	}
	return p.firstOperator(ctx)
}

// partTimeout is how long a part may take to stop. It is shorter than the timeout of the stack, so
// that the private Postgres stops last.
const partTimeout = 25 * time.Second

// opsOf returns the setting for the operators' port of a part. If a port is set for all parts, the
// parts get this port and the next ones, in the order of their default ports.
func opsOf(address, part string) []string {
	host, port, err := net.SplitHostPort(address)
	first, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || first == 0 {
		return nil // the part uses its default, or any free port
	}
	next := map[string]int{Gateway: 0, Auth: 1, Management: 2, Chat: 3}[part]
	return []string{"GATEHOUSE_OPS_ADDR=" + net.JoinHostPort(host, strconv.Itoa(first+next))}
}

// runAll runs the four parts until ctx ends or one of them exits.
func runAll(ctx context.Context, binaries string, environment func(part string) []string, logs io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []string{Auth, Management, Chat, Gateway}
	problems := make([]error, len(parts))
	var wg sync.WaitGroup
	for n, part := range parts {
		wg.Go(func() {
			defer cancel()                                                     // when one part exits, all stop
			command := exec.CommandContext(ctx, filepath.Join(binaries, part)) //nolint:gosec // a binary of Gatehouse
			command.Env, command.Stdout, command.Stderr = environment(part), logs, logs
			// Ctrl-C signals a whole process group. In a group of its own, each part gets only our signal.
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
