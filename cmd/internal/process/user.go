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

// CreateUser makes an account in the installation's database, and tells out how
// to sign in. Without a password it makes one, which is told this once. In local
// the schema is brought up to date first, as serve does.
func CreateUser(ctx context.Context, s settings.Settings, version string, u auth.NewUser, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		made := u.Password == ""
		if made {
			u.Password = rand.Text()
		}
		if err := service.CreateUser(ctx, u); err != nil {
			return err
		}
		if made {
			fmt.Fprintf(out, "%s can sign in with the password %s (shown this once)\n", u.Email, u.Password)
		} else {
			fmt.Fprintf(out, "%s can sign in\n", u.Email)
		}
		return nil
	})
}

// DisableUser keeps the user of an address from signing in, and ends its
// sessions; or lets it again.
func DisableUser(ctx context.Context, s settings.Settings, version, email string, disabled bool, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.DisableUser(ctx, email, disabled); err != nil {
			return err
		}
		if disabled {
			fmt.Fprintf(out, "%s cannot sign in anymore; its sessions and API keys have ended\n", email)
		} else {
			fmt.Fprintf(out, "%s can sign in again\n", email)
		}
		return nil
	})
}

// GrantOperator gives the user of an address the role that spans organizations,
// or takes it.
func GrantOperator(ctx context.Context, s settings.Settings, version, email string, operator bool, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.GrantOperator(ctx, email, operator); err != nil {
			return err
		}
		if operator {
			fmt.Fprintf(out, "%s is an operator from its next token on\n", email)
		} else {
			fmt.Fprintf(out, "%s is no operator anymore\n", email)
		}
		return nil
	})
}

// ResetFactors takes the second factors of the user of an address away.
func ResetFactors(ctx context.Context, s settings.Settings, version, email string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.ResetFactors(ctx, email); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s signs in with the password alone now; its sessions have ended\n", email)
		return nil
	})
}

// RotateKeys makes the next signing key sign from now on.
func RotateKeys(ctx context.Context, s settings.Settings, version string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.AdvanceKeys(ctx); err != nil {
			return err
		}
		fmt.Fprintln(out, "tokens are signed by the next key within seconds; those from before stay good until they expire")
		return nil
	})
}

// DiscardKey removes a signing key that cannot be used any more.
func DiscardKey(ctx context.Context, s settings.Settings, version, kid string, out, logs io.Writer) error {
	return administer(ctx, s, version, logs, func(ctx context.Context, service *auth.Service) error {
		if err := service.DiscardKey(ctx, kid); err != nil {
			return err
		}
		fmt.Fprintln(out, "the key is gone, and what it signed ends; clients refresh, and go on with the next one")
		return nil
	})
}

// administer runs an administrator's command on auth, beside a server that may
// be running.
func administer(ctx context.Context, s settings.Settings, version string, logs io.Writer,
	command func(ctx context.Context, service *auth.Service) error,
) error {
	p, err := base(ctx, s, "user", version, true, logs)
	if err != nil {
		return err
	}
	defer p.stack.Unwind()
	if err := p.reachDatabase(ctx); err != nil {
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
	// No first operator: its password would be made and shown to nobody.
	service, err := auth.New(auth.Config{
		Issuer: s.PublicURL, SecretKey: p.key, VerifiedEmail: s.ConfirmsAddresses(), Messages: s.Messages(), Settings: s.Auth,
	}, auth.Deps{DB: db, Clock: p.clock, Log: p.telemetry.Log, Authorizer: p.authorizer})
	if err != nil {
		return err
	}
	return command(ctx, service)
}
