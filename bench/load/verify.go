package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
)

// measureVerify measures in this process what every service does with a token: it
// verifies it offline, and remembers for a moment what it said.
func measureVerify(ctx context.Context, b *bench) error {
	office, err := newOffice()
	if err != nil {
		return err
	}
	tokens := make([]string, b.opts.verifications)
	signatures := make([][]byte, len(tokens))
	text := []byte("as long as what is signed does not matter much to the signature, but a hash of it is made, so here are some words")
	for i := range tokens {
		if tokens[i], err = office.sign(); err != nil {
			return err
		}
		signatures[i] = ed25519.Sign(office.key.Private, text)
	}
	fresh, err := costOf(len(tokens), func(n int) error { return office.verify(ctx, tokens[n]) })
	if err != nil {
		return err
	}
	again, err := costOf(100*len(tokens), func(int) error { return office.verify(ctx, tokens[len(tokens)-1]) })
	if err != nil {
		return err
	}
	bare, err := costOf(len(tokens), func(n int) error {
		if !ed25519.Verify(office.public, text, signatures[n]) {
			return errors.New("a good signature is refused")
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.table.add(row{
		what:     fmt.Sprintf("processor time to verify a token not seen lately (mean of %s), offline", count(float64(len(tokens)))),
		measured: fresh.String(), floor: "the signature alone: " + bare.String(),
		aim: "below 60 µs", met: fresh.time < 60*time.Microsecond,
	}, row{what: "the same for a token seen lately", measured: again.String()})
	return b.manyTokens(ctx, office)
}

// manyTokens measures the memory that a million different tokens leave in use.
func (b *bench) manyTokens(ctx context.Context, o *office) error {
	verified := 0
	verify := func(total int) (heap int64, err error) {
		err = together(ctx, runtime.GOMAXPROCS(0), total-verified, func(ctx context.Context, _ int) error {
			token, err := o.sign()
			if err != nil {
				return err
			}
			return o.verify(ctx, token)
		})
		verified = total
		return heapInUse(), err
	}
	early, err := verify(b.opts.earlyTokens)
	if err != nil {
		return err
	}
	late, err := verify(b.opts.lateTokens)
	if err != nil {
		return err
	}
	b.table.add(row{
		what: fmt.Sprintf("heap after a collection after %s different tokens, beside that after %s",
			count(float64(b.opts.lateTokens)), count(float64(b.opts.earlyTokens))),
		measured: fmt.Sprintf("%s (%+.2f MB)", mb(late), float64(late-early)/megabyte),
		floor:    mb(early), aim: "within 1 MB", met: late-early < megabyte,
	})
	runtime.KeepAlive(o)
	return nil
}

// heapInUse is what this process's heap holds after a collection, in bytes.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what the first left in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far less
}

// cost is what one of many calls took.
type cost struct {
	time          time.Duration
	allocs, bytes uint64
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f µs, %d allocations, %s bytes", float64(c.time)/float64(time.Microsecond), c.allocs, count(float64(c.bytes)))
}

// costOf calls a function n times and returns what each call took, with its share of the
// garbage collections.
func costOf(n int, call func(n int) error) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began, err := readStat(os.Getpid())
	if err != nil {
		return cost{}, err
	}
	for i := range n {
		if err := call(i); err != nil {
			return cost{}, err
		}
	}
	ended, err := readStat(os.Getpid())
	runtime.ReadMemStats(&after)
	calls := uint64(max(n, 1))
	return cost{
		time:   (ended.used - began.used) / time.Duration(max(n, 1)),
		allocs: (after.Mallocs - before.Mallocs) / calls, bytes: (after.TotalAlloc - before.TotalAlloc) / calls,
	}, err
}

// office signs tokens and verifies them.
type office struct {
	key      identity.SigningKey
	public   ed25519.PublicKey
	verifier *identity.Verifier
}

const tokenIssuer = "http://gatehouse.test"

func newOffice() (*office, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	o := &office{key: identity.SigningKey{ID: id.New(), Private: private}, public: public}
	keys := identity.NewKeys(func(context.Context) (map[string]ed25519.PublicKey, error) {
		return map[string]ed25519.PublicKey{o.key.ID: public}, nil
	}, clock.System())
	o.verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: tokenIssuer, Service: "chat"}, keys, clock.System())
	return o, err
}

// sign makes a token like those of sign-ins, and like no other.
func (o *office) sign() (string, error) {
	now := clock.System().Now()
	return identity.SignAccess(o.key, identity.AccessClaims{
		Issuer: tokenIssuer, Subject: id.New(), ID: id.New(), ClientID: identity.FirstParty, OrganizationID: id.New(), SessionID: id.New(),
		Roles: []string{"owner"}, IssuedAt: now, ExpiresAt: now.Add(15 * time.Minute), AuthTime: now, AMR: []string{identity.MethodPassword},
	})
}

func (o *office) verify(ctx context.Context, token string) error {
	_, err := o.verifier.Access(ctx, token)
	return err
}
