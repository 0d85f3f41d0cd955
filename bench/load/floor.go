package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

const (
	// floorCommand has this program serve the floors.
	floorCommand = "floor"
	// floorConns is the size of the product's pools.
	floorConns = 10
)

// floorPlace is where the floors are served.
type floorPlace struct{ HTTP, GRPC string }

// floor is the process that serves the floors.
type floor struct {
	floorPlace
	running *process
	stdin   io.Closer
	log     *os.File
}

// startFloor starts this program a second time. The database's URL goes by
// stdin: what is in the arguments anybody can read.
func startFloor(ctx context.Context, databaseURL, dir string) (*floor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	cmd := exec.Command(self, floorCommand) //nolint:gosec,noctx // ourselves; stopped by stop
	stdin, stdinErr := cmd.StdinPipe()
	stdout, stdoutErr := cmd.StdoutPipe()
	log, logErr := os.Create(filepath.Join(dir, "floor.log"))
	if err := errors.Join(stdinErr, stdoutErr, logErr); err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	cmd.Stderr = log
	f := &floor{stdin: stdin, log: log}
	if f.running, err = startProcess(cmd); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(stdin, databaseURL+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("floor: %w", err), f.stop())
	}
	if err := json.NewDecoder(stdout).Decode(&f.floorPlace); err != nil {
		return nil, errors.Join(fmt.Errorf("floor: %w", err), f.stop())
	}
	return f, ctx.Err()
}

// stop ends the process by ending its stdin, which also ends with us.
func (f *floor) stop() error {
	err := f.stdin.Close()
	<-f.running.done
	return errors.Join(err, f.running.err, f.log.Close())
}

// serveFloor is the other side: it reads the database's URL, serves, says where,
// and ends when stdin does.
func serveFloor(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	databaseURL, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	config, err := pgxpool.ParseConfig(databaseURL[:len(databaseURL)-1])
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	config.MaxConns = floorConns
	pool, err := pgxpool.NewWithConfig(ctx, config) //nolint:forbidigo // the floor is bare on purpose
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	defer pool.Close()
	web, webErr := listen(ctx)
	rpc, rpcErr := listen(ctx)
	if err := errors.Join(webErr, rpcErr); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	server := &http.Server{Handler: floorHandler(pool), ReadHeaderTimeout: 5 * time.Second}
	grpcServer := grpc.NewServer() //nolint:forbidigo // the floor is bare on purpose
	chatv1.RegisterRunServiceServer(grpcServer, bareStream{})
	served := make(chan error, 2)
	go func() { served <- server.Serve(web) }()
	go func() { served <- grpcServer.Serve(rpc) }()
	if err := json.NewEncoder(stdout).Encode(floorPlace{"http://" + web.Addr().String(), rpc.Addr().String()}); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	_, err = io.Copy(io.Discard, in)
	grpcServer.Stop()
	err = errors.Join(err, server.Close())
	for range cap(served) {
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
	}
	return err
}

func listen(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// floorHandler answers GET /v1/me?id= as the least that could: one query, no
// question of who asks.
func floorHandler(pool *pgxpool.Pool) http.Handler {
	type me struct {
		ID, Email, DisplayName string
		CreateTime             time.Time
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out me
		err := pool.QueryRow(r.Context(), "SELECT id::text, email, display_name, created_at FROM auth.users WHERE id = $1",
			r.URL.Query().Get("id")).Scan(&out.ID, &out.Email, &out.DisplayName, &out.CreateTime)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the client counts what it gets
	})
}
