package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	memoryKiB  = 19456
	passes     = 2
	lanes      = 1
	saltBytes  = 16
	hashBytes  = 32
	queueDepth = 64
)

// Hasher hashes and verifies passwords. It runs one hash for each processor except one,
// which stays free for other requests: a hash uses a processor longer than they do. A
// limited number of calls wait, for a limited time. A call is OVERLOADED when the queue
// is full or the wait is too long.
type Hasher struct {
	slots   chan struct{}
	wait    time.Duration
	waiting atomic.Int64
	dummy   string
}

// NewHasher returns a hasher. One is enough for a process. wait is how long a password
// may wait to be hashed.
func NewHasher(wait time.Duration) *Hasher {
	salt, hash := make([]byte, saltBytes), make([]byte, hashBytes)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(hash)
	return &Hasher{
		wait:  wait,
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)),
		// The hash of no password: verifying with it is the same work, and creating it is none.
		dummy: encode(salt, hash),
	}
}

// Hash returns the hash of a password in the PHC string format.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return encode(salt, derive(password, salt)), nil
}

// Verify reports whether a hash is that of a password. An empty hash means that there
// is no account: Verify then does the same work and returns false.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	salt, want, err := decode(hash)
	if err != nil {
		return false, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the stored password hash is invalid")
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	same := subtle.ConstantTimeCompare(derive(password, salt), want) == 1
	return same && known, nil
}

// acquire waits for a free slot. The caller must call release.
func (h *Hasher) acquire(ctx context.Context) (release func(), err error) {
	if h.waiting.Add(1) > queueDepth {
		h.waiting.Add(-1)
		return nil, overloaded()
	}
	defer h.waiting.Add(-1)
	waitCtx, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-waitCtx.Done():
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, overloaded()
	}
}

func overloaded() error {
	return fault.New(faultv1.Reason_REASON_OVERLOADED, "too many sign-ins at once").WithRetryAfter(time.Second)
}

func derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, hashBytes)
}

func prefix() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, memoryKiB, passes, lanes)
}

func encode(salt, hash []byte) string {
	return prefix() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(hash)
}

func decode(encoded string) (salt, hash []byte, err error) {
	rest, ok := strings.CutPrefix(encoded, prefix())
	saltText, hashText, both := strings.Cut(rest, "$")
	if !ok || !both {
		return nil, nil, errors.New("user: the password hash has an unknown format")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(saltText); err != nil {
		return nil, nil, fmt.Errorf("user: password salt: %w", err)
	}
	if hash, err = base64.RawStdEncoding.DecodeString(hashText); err != nil {
		return nil, nil, fmt.Errorf("user: password hash: %w", err)
	}
	return salt, hash, nil
}
