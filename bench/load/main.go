// Command load measures a whole Gatehouse, as its users meet it, and prints a
// Markdown table.
//
//	cd bench && go run ./load              what docs/performance.md shows
//	cd bench && go run ./load -quick       the same in a few seconds, for a look
//	cd bench && go run ./load -only me     one part: start, me, verify, refresh, signin,
//	                                       timing, stream, streams, memory
//
// It builds the stripped binary, serves it in a process of its own with a data
// directory and a private Postgres that it removes afterwards, and has the
// openai provider talk to a stub of a model server (modelstub) in this process.
// Everything listens on the loopback, everything is bounded in count and time,
// and what was started is stopped.
//
// # Floors
//
// A figure by itself says more about the machine than about the product, so
// each has a floor beside it, measured in the same run by the same client: a
// bare net/http handler that makes one query on the same Postgres, and a bare
// gRPC stream of the same messages. They run in a process of their own too
// (floor.go), so that neither side saves a switch between processes. Client,
// floor, stub, product and Postgres share the machine's cores; so figures are
// what the machine does with all of them at once, not what the product would do
// alone. Compare ratios.
//
//	main.go      the order of events
//	build.go     the binary
//	process.go   a process that is started, looked at and stopped
//	product.go   the product: start, readiness, memory
//	api.go       its REST API
//	sse.go       its streams
//	model.go     the stub of a model server
//	floor.go floorstream.go   the floors, and the process that serves them
//	start.go me.go stream.go streams.go memory.go
//	verify.go refresh.go signin.go timing.go   what is measured
//	stats.go table.go   what is made of it
//	cpu.go profile.go   why it is as it is
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// runTimeout bounds a whole run, whatever the counts.
const runTimeout = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 && os.Args[1] == floorCommand {
		err := serveFloor(ctx, os.Stdin, os.Stdout)
		stop()
		exit(err)
		return
	}
	opts := full()
	quick := flag.Bool("quick", false, "small counts, for a look")
	flag.StringVar(&opts.root, "root", opts.root, "the repository")
	flag.StringVar(&opts.only, "only", "", "one part alone: "+strings.Join(partNames(), ", "))
	flag.StringVar(&opts.profiles, "profiles", "", "a folder for CPU and heap profiles of the product")
	flag.Parse()
	if *quick {
		opts = opts.small()
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	err := run(ctx, opts, os.Stdout, os.Stderr)
	cancel()
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// part is one thing that is measured.
type part struct {
	name    string
	measure func(ctx context.Context, b *bench) error
}

func parts() []part {
	return []part{
		{"start", measureStart}, // first: it looks at the product before any work
		{"me", measureMe},
		{"verify", measureVerify},
		{"refresh", measureRefresh},
		{"signin", measureSignIn},
		{"timing", measureTiming},
		{"stream", measureOneStream},
		{"streams", measureManyStreams},
		{"memory", measureMemory},
	}
}

func partNames() []string {
	names := make([]string, 0, len(parts()))
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// bench is what the parts work with.
type bench struct {
	opts    options
	product *product
	model   *model
	floor   *floor
	api     *api
	table   *table
	log     io.Writer
}

// run measures what the options ask for and writes the table to out.
func run(ctx context.Context, opts options, out, log io.Writer) (err error) {
	if err := opts.validate(); err != nil {
		return err
	}
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{opts: opts, table: &table{}, log: log}
	b.say("building the binary")
	binary, err := build(ctx, opts, dir)
	if err != nil {
		return err
	}
	b.table.add(binary.figure())
	b.model = serveModel()
	defer b.model.close()
	b.product = newProduct(binary.path, dir, b.model.url)
	b.say("starting the product on new data")
	if err := b.product.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.product.stop()) }()
	if b.floor, err = startFloor(ctx, b.product.databaseURL, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.floor.stop()) }()
	for _, p := range parts() {
		if opts.only != "" && opts.only != p.name {
			continue
		}
		b.say("measuring %s", p.name)
		if err := b.measure(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.table.write(out)
}

// measure runs one part with a fresh sign-in: access tokens are short-lived.
func (b *bench) measure(ctx context.Context, p part) (err error) {
	if b.api, err = signIn(ctx, b.product); err != nil {
		return err
	}
	defer b.api.close()
	if b.opts.profiles == "" {
		return p.measure(ctx, b)
	}
	profile := b.product.profile(ctx, b.opts.profiles, p.name)
	return errors.Join(p.measure(ctx, b), profile())
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "load: "+format+"\n", args...)
}
