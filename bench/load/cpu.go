package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's processor times: every Linux that Go runs on has
// 100 in a second.
const tick = 10 * time.Millisecond

// cpu is processor time by who spent it. Unlike rates it hardly depends on what
// else the machine does.
type cpu struct{ server, postgres, client time.Duration }

// cpuSince returns a function that returns the processor time spent since now: by
// a server, by its Postgres, and by this process, which is client and stub.
func (b *bench) cpuSince(server *process) (func() (cpu, error), error) {
	read := func() (cpu, error) {
		database, databaseErr := b.product.postgresTime()
		own, ownErr := readStat(server.cmd.Process.Pid)
		self, selfErr := readStat(os.Getpid())
		return cpu{own.used, database, self.used}, errors.Join(databaseErr, ownErr, selfErr)
	}
	before, err := read()
	if err != nil {
		return nil, err
	}
	return func() (cpu, error) {
		after, err := read()
		return after.plus(cpu{-before.server, -before.postgres, -before.client}), err
	}, nil
}

// per shows the time for each of n pieces of work.
func (c cpu) per(n int) string {
	each := func(d time.Duration) int64 { return (d / time.Duration(max(n, 1))).Microseconds() }
	return fmt.Sprintf("%d µs + Postgres %d + client %d", each(c.server), each(c.postgres), each(c.client))
}

func (c cpu) plus(o cpu) cpu {
	return cpu{c.server + o.server, c.postgres + o.postgres, c.client + o.client}
}

// stat is what is taken of /proc/<pid>/stat.
type stat struct {
	parent int
	used   time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, fmt.Errorf("processor time: %w", err)
	}
	// The name in parentheses may hold anything; the fields after it do not.
	line := string(text)
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	const parent, user, system = 1, 11, 12
	if len(fields) <= system {
		return stat{}, fmt.Errorf("processor time: /proc/%d/stat has %d fields", pid, len(fields))
	}
	var numbers [3]int64
	for i, field := range []int{parent, user, system} {
		if numbers[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return stat{}, fmt.Errorf("processor time: %w", err)
		}
	}
	return stat{parent: int(numbers[0]), used: time.Duration(numbers[1]+numbers[2]) * tick}, nil
}

// postgresTime is what the processes of the product's Postgres have used.
// Those of connections that have ended are not in it; pools keep theirs.
func (p *product) postgresTime() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "data", "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	var used time.Duration
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		if s, err := readStat(pid); err == nil && (pid == postmaster || s.parent == postmaster) {
			used += s.used
		}
	}
	return used, nil
}
