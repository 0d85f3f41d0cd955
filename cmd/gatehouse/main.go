// Command gatehouse runs all parts of Gatehouse in one process. It also has the commands of an
// administrator.
//
//	gatehouse serve      run all parts until interrupted
//	gatehouse split      run all parts, each in a process of its own
//	gatehouse migrate    migrate the database; --adopt-roles also sets the passwords of
//	                     login roles that were created with another secret key
//	gatehouse doctor     check the settings and every dependency
//	gatehouse user       create or disable a user, make a user an operator
//	gatehouse keys       rotate the signing keys, or delete one that cannot be used
//	gatehouse version    print the version
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/config"
)

// version is set by the linker in a release.
var version = "dev"

const usage = `usage: gatehouse serve | split | migrate | doctor | user | keys | version`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatehouse:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || len(args) > 1 && !slices.Contains([]string{"user", "keys", "migrate"}, args[0]) {
		return errors.New(usage)
	}
	if args[0] == "version" {
		fmt.Println("gatehouse", version)
		return nil
	}
	variables, err := config.Read()
	if err != nil {
		return err
	}
	s, err := settings.Load(variables)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	switch args[0] {
	case "serve":
		return process.Serve(ctx, s, version, os.Stdout, os.Stderr)
	case "split":
		return split(ctx, s, variables)
	case "migrate":
		return migrate(ctx, s, args[1:])
	case "doctor":
		return process.Doctor(ctx, s, version, os.Stdout)
	case "keys":
		return keys(ctx, s, args[1:])
	case "user":
		return user(ctx, s, args[1:], os.Stdin)
	default:
		return errors.New(usage)
	}
}

// migrate migrates the database to the current schema.
func migrate(ctx context.Context, s settings.Settings, args []string) error {
	adopt := len(args) == 1 && args[0] == "--adopt-roles"
	if len(args) > 0 && !adopt {
		return errors.New("usage: gatehouse migrate [--adopt-roles]")
	}
	return process.Migrate(ctx, s, version, adopt, os.Stderr)
}

// keys rotates the signing keys or deletes one.
func keys(ctx context.Context, s settings.Settings, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "rotate":
		return process.RotateKeys(ctx, s, version, os.Stdout, os.Stderr)
	case len(args) == 2 && args[0] == "discard":
		return process.DiscardKey(ctx, s, version, args[1], os.Stdout, os.Stderr)
	default:
		return errors.New("usage: gatehouse keys rotate | gatehouse keys discard KEY-ID")
	}
}

// split runs the parts from the binaries in the folder of this one.
func split(ctx context.Context, s settings.Settings, variables map[string]string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the other binaries: %w", err)
	}
	environment := make([]string, 0, len(variables))
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return process.Split(ctx, s, version, filepath.Dir(self), environment, os.Stdout, os.Stderr)
}
