package process

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/platform/health"
)

// Main is the main function of a program that runs one part. It reads the settings and runs the
// part until the process receives SIGINT or SIGTERM.
func Main(part, version string, logs io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	variables, err := config.Read()
	if err != nil {
		return err
	}
	s, err := settings.Load(variables)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	return ServePart(ctx, s, part, version, logs)
}

// ServePart runs one part until ctx ends. It calls the other parts over TCP. The database must be
// migrated already.
func ServePart(ctx context.Context, s settings.Settings, part, version string, logs io.Writer) error {
	p, err := base(ctx, s, part, version, false, logs)
	if err != nil {
		return err
	}
	if err := p.buildPart(ctx, part); err != nil {
		p.stack.Unwind()
		return err
	}
	return p.Run(ctx)
}

func (p *Process) buildPart(ctx context.Context, part string) error {
	key, err := p.settings.Key()
	if err != nil {
		return err
	}
	p.key = key
	if part != Gateway {
		if err := p.openDatabase(ctx); err != nil {
			return err
		}
	}
	switch part {
	case Auth:
		_, err = p.addAuth(ctx)
	case Management:
		err = p.addManagement(ctx)
	case Chat:
		err = p.addChat(ctx)
	case Gateway:
		if err = p.checkPeers(Auth, Management, Chat); err == nil {
			_, err = p.addGateway(ctx)
		}
	default:
		err = fmt.Errorf("there is no part %q", part)
	}
	if err != nil {
		return err
	}
	p.checkPools()
	return p.serveOps(ctx)
}

// checkPeers makes readiness depend on the health of other services.
func (p *Process) checkPeers(services ...string) error {
	for _, service := range services {
		conn, err := p.dial(service, nil)
		if err != nil {
			return err
		}
		client := healthv1.NewHealthClient(conn)
		p.checks.Add(service, health.FromError(func(ctx context.Context) error {
			response, err := client.Check(ctx, &healthv1.HealthCheckRequest{})
			if err != nil || response.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				return fmt.Errorf("%s is not reachable or not serving", service)
			}
			return nil
		}))
	}
	return nil
}
