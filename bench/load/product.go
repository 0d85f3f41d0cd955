package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/freeport"
)

const (
	adminEmail    = "admin@gatehouse.local"
	adminPassword = "correct horse battery staple"
	// readyTimeout allows for the making of a new cluster.
	readyTimeout = time.Minute
	// readyPoll is small beside the start that is measured.
	readyPoll = 2 * time.Millisecond
)

// product is a Gatehouse, all parts in one process, on data of its own.
type product struct {
	binary, dir string
	gateway     string
	ops         string
	databaseURL string
	env         []string
	running     *process
	log         *os.File
	http        *http.Client
}

func newProduct(binary, dir, modelURL string) *product {
	return &product{
		binary: binary, dir: dir,
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		env: []string{
			"GATEHOUSE_DATA_DIR=" + filepath.Join(dir, "data"),
			"GATEHOUSE_ADMIN_PASSWORD=" + adminPassword,
			// Not what is measured: one client with one account asks for everything.
			"GATEHOUSE_RATE_LIMITS=off",
			"GATEHOUSE_RUNS_PER_USER=0",
			"GATEHOUSE_RUNS_PER_ORGANIZATION=0",
			"GATEHOUSE_MODEL=openai/stub",
			"OPENAI_API_KEY=stub",
			"OPENAI_BASE_URL=" + modelURL,
		},
	}
}

// start starts the product and waits until it is ready.
func (p *product) start(ctx context.Context) error {
	var err error
	if p.gateway, err = freeport.Address(ctx); err != nil {
		return err
	}
	if p.ops, err = freeport.Address(ctx); err != nil {
		return err
	}
	if p.log, err = os.OpenFile(filepath.Join(p.dir, "product.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("product: %w", err)
	}
	cmd := exec.Command(p.binary, "serve") //nolint:gosec,noctx // stopped by stop, which drains
	cmd.Dir = p.dir
	// Nothing of the surroundings: a setting there would be measured too.
	path := os.Getenv("PATH") //nolint:forbidigo // handed on, not read
	cmd.Env = append([]string{"PATH=" + path, "GATEHOUSE_GATEWAY_ADDR=" + p.gateway, "GATEHOUSE_OPS_ADDR=" + p.ops}, p.env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if p.running, err = startProcess(cmd); err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(err, p.stop())
	}
	p.databaseURL, err = localURL(filepath.Join(p.dir, "data", "postgres"))
	return err
}

func (p *product) stop() error {
	return errors.Join(p.running.stop(), p.log.Close())
}

func (p *product) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if _, err := p.operations(ctx, "/readyz"); err == nil {
			return nil
		}
		select {
		case <-p.running.done:
			return fmt.Errorf("the product ended: %w\n%s", p.running.err, p.lastLog())
		default:
		}
		if err := clock.Sleep(ctx, clock.System(), readyPoll); err != nil {
			return fmt.Errorf("the product is not ready: %w\n%s", err, p.lastLog())
		}
	}
}

// operations asks the operators' port.
func (p *product) operations(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.ops+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", path, resp.StatusCode, body)
	}
	return body, err
}

// lastLog is the end of the product's log, for an error message.
func (p *product) lastLog() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// localURL leads to the private cluster that the product keeps, as its
// administrator.
func localURL(home string) (string, error) {
	password, err := os.ReadFile(filepath.Join(home, "password"))
	if err != nil {
		return "", fmt.Errorf("the product's Postgres: %w", err)
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("gatehouse_admin", strings.TrimSpace(string(password))), Path: "/gatehouse",
		RawQuery: url.Values{"host": {filepath.Join(home, "run")}, "port": {"5432"}}.Encode(),
	}
	return u.String(), nil
}
