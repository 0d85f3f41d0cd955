package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/services/auth"
)

const userUsage = `usage: gatehouse user create --email ADDRESS [--name NAME] [--operator] [--password-stdin]
       gatehouse user disable | enable | reset-mfa | grant-operator | revoke-operator --email ADDRESS`

// user creates or changes a user.
func user(ctx context.Context, s settings.Settings, args []string, stdin io.Reader) error {
	if len(args) == 3 && args[1] == "--email" {
		email := args[2]
		switch args[0] {
		case "disable", "enable":
			return process.DisableUser(ctx, s, version, email, args[0] == "disable", os.Stdout, os.Stderr)
		case "reset-mfa":
			return process.ResetFactors(ctx, s, version, email, os.Stdout, os.Stderr)
		case "grant-operator", "revoke-operator":
			return process.GrantOperator(ctx, s, version, email, args[0] == "grant-operator", os.Stdout, os.Stderr)
		}
	}
	u, err := newUser(args, stdin, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return process.CreateUser(ctx, s, version, u, os.Stdout, os.Stderr)
}

// newUser reads the arguments. A password is never an argument: other users of the machine can see
// arguments, and shells store them.
func newUser(args []string, stdin io.Reader, help io.Writer) (auth.NewUser, error) {
	var u auth.NewUser
	if len(args) == 0 || args[0] != "create" {
		return u, errors.New(userUsage)
	}
	flags := flag.NewFlagSet("gatehouse user create", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.StringVar(&u.Email, "email", "", "the email address of the user")
	flags.StringVar(&u.DisplayName, "name", "", "the name of the user (default: the part of the address before the @)")
	flags.BoolVar(&u.Operator, "operator", false, "make the user an operator")
	fromStdin := flags.Bool("password-stdin", false, "read the password from the first line of standard input, instead of generating and printing one")
	if err := flags.Parse(args[1:]); err != nil {
		return u, err
	}
	if u.Email == "" || flags.NArg() > 0 {
		return u, errors.New(userUsage)
	}
	if !*fromStdin {
		return u, nil
	}
	line, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return u, fmt.Errorf("read the password: %w", err)
	}
	if u.Password = strings.TrimRight(line, "\r\n"); u.Password == "" {
		return u, errors.New("standard input has no password")
	}
	return u, nil
}
