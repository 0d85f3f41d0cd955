package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// profileSeconds is how long the CPU is watched from a part's start.
const profileSeconds = 10

// profile watches the product's CPU during a part. The function that it returns
// waits for that, takes the heap as it is at the part's end, and writes both.
func (p *product) profile(ctx context.Context, dir, part string) func() error {
	type result struct {
		raw []byte
		err error
	}
	cpu := make(chan result, 1)
	go func() {
		raw, err := p.operations(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds))
		cpu <- result{raw, err}
	}()
	return func() error {
		watched := <-cpu
		if watched.err != nil {
			return nil //nolint:nilerr // a part that restarts the product breaks its profile
		}
		heap, err := p.operations(ctx, "/debug/pprof/heap?gc=1")
		if err != nil {
			return err
		}
		for name, raw := range map[string][]byte{"cpu": watched.raw, "heap": heap} {
			if err := os.WriteFile(filepath.Join(dir, part+"-"+name+".pprof"), raw, 0o600); err != nil {
				return fmt.Errorf("profile: %w", err)
			}
		}
		return nil
	}
}
