package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/services/auth"
	authmigrations "github.com/gatehouse/gatehouse/services/auth/migrations"
)

// CreateUser creates an account in the database of the installation and prints to out how to sign
// in. If u has no password, it generates one and prints it once. In the environment local it first
// migrates the database, as serve does.
func CreateUser(ctx context.Context, s settings.Settings, version string, u auth.NewUser, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		generated := u.Password == ""
		if generated {
			u.Password = rand.Text()
		}
		if err := service.CreateUser(ctx, u); err != nil {
			return err
		}
		if generated {
			fmt.Fprintf(out, "%s can sign in with the password %s (shown this once)\n", u.Email, u.Password)
		} else {
			fmt.Fprintf(out, "%s can sign in\n", u.Email)
		}
		return nil
	})
}

// DisableUser disables the user with an email address and ends its sessions, or enables the user
// again.
func DisableUser(ctx context.Context, s settings.Settings, version, email string, disabled bool, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.DisableUser(ctx, email, disabled); err != nil {
			return err
		}
		if disabled {
			fmt.Fprintf(out, "%s can no longer sign in; its sessions and API keys are revoked\n", email)
		} else {
			fmt.Fprintf(out, "%s can sign in again\n", email)
		}
		return nil
	})
}

// GrantOperator makes the user with an email address an operator, or removes that role.
func GrantOperator(ctx context.Context, s settings.Settings, version, email string, operator bool, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.GrantOperator(ctx, email, operator); err != nil {
			return err
		}
		if operator {
			fmt.Fprintf(out, "%s is an operator as soon as its next token is issued\n", email)
		} else {
			fmt.Fprintf(out, "%s is no longer an operator\n", email)
		}
		return nil
	})
}

// ResetFactors removes the second factors of the user with an email address.
func ResetFactors(ctx context.Context, s settings.Settings, version, email string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.ResetFactors(ctx, email); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s now signs in with the password alone; its sessions are revoked\n", email)
		return nil
	})
}

// RotateKeys makes the next signing key the active one.
func RotateKeys(ctx context.Context, s settings.Settings, version string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.AdvanceKeys(ctx); err != nil {
			return err
		}
		fmt.Fprintln(out, "within seconds, new tokens are signed by the next key; tokens signed by the old key stay valid until they expire")
		return nil
	})
}

// DiscardKey deletes a signing key that cannot be used any more.
func DiscardKey(ctx context.Context, s settings.Settings, version, kid string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.DiscardKey(ctx, kid); err != nil {
			return err
		}
		fmt.Fprintln(out, "the key is deleted and its tokens are invalid; clients refresh and continue with tokens of the next key")
		return nil
	})
}

// administer runs a command of an administrator on the auth service. A server may be running at the
// same time.
func administer(ctx context.Context, s settings.Settings, version string, logs io.Writer,
	command func(ctx context.Context, service *auth.Service) error,
) error {
	p, err := base(ctx, s, "user", version, true, logs)
	if err != nil {
		return err
	}
	defer p.stack.Unwind()
	if err := p.connectDatabase(ctx); err != nil {
		return err
	}
	if s.Local() {
		if err := p.migrate(ctx, false); err != nil {
			return err
		}
	}
	db, err := p.openPool(ctx, authmigrations.Role, authmigrations.Set())
	if err != nil {
		return err
	}
	// This creates no first operator, since its generated password would not be printed.
	service, err := auth.New(auth.Config{
		Issuer: s.PublicURL, SecretKey: p.key, VerifiedEmail: s.ConfirmsAddresses(), Messages: s.Messages(), Settings: s.Auth,
	}, auth.Deps{DB: db, Clock: p.clock, Log: p.telemetry.Log, Authorizer: p.authorizer})
	if err != nil {
		return err
	}
	return command(ctx, service)
}
