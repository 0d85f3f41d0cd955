package session

import (
	"context"
	"net/netip"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/limit"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
)

// networkBits is the length of the prefix that a network gives to one customer.
// Counting whole IPv6 addresses would limit nothing.
const networkBits = 64

// Throttle limits wrong passwords: tightly for an account from one network, and widely
// for all accounts from one network. It does not limit an account alone, because then
// anyone could lock its owner out. An account is the address as typed, whether it
// exists or not, so the limit reveals nothing.
//
// An attempt counts before its password is verified, because many may arrive at once.
// It is refunded when the password was right.
type Throttle struct {
	tight, wide *limit.Limiter
}

// NewThrottle returns a throttle for this process.
func NewThrottle() (*Throttle, error) {
	tight, err := limit.New(limit.Quota{Name: "sign-in", PerMinute: 1, Burst: 8})
	if err != nil {
		return nil, err
	}
	wide, err := limit.New(limit.Quota{Name: "sign-ins", PerMinute: 20, Burst: 99})
	if err != nil {
		return nil, err
	}
	return &Throttle{tight: tight, wide: wide}, nil
}

// Passwords verifies passwords within the limits of a throttle. One is enough for a
// process.
type Passwords struct {
	hasher   *user.Hasher
	throttle *Throttle
}

// NewPasswords returns a verifier of passwords. A nil throttle limits nothing.
func NewPasswords(hasher *user.Hasher, throttle *Throttle) *Passwords {
	return &Passwords{hasher: hasher, throttle: throttle}
}

// Verify reports whether a hash is that of a password. Too many wrong passwords are
// RATE_LIMITED; they are counted under account.
func (p *Passwords) Verify(ctx context.Context, account, hash, password string) (right bool, err error) {
	try, err := p.throttle.reserve(ctx, account)
	if err != nil {
		return false, err
	}
	right, err = p.hasher.Verify(ctx, hash, password)
	if err != nil || right {
		try.refund(ctx)
	}
	return right, err
}

// attempt is one password that is about to be verified.
type attempt struct {
	throttle         *Throttle
	account, network string
}

// reserve counts an attempt for an account, or returns RATE_LIMITED. A nil throttle
// limits nothing.
func (t *Throttle) reserve(ctx context.Context, account string) (attempt, error) {
	network := networkOf(identity.OriginFromContext(ctx).IPAddress)
	out := attempt{throttle: t, account: account + " " + network, network: network}
	if t == nil {
		return out, nil
	}
	if d := t.tight.Allow(ctx, out.account); !d.Allowed {
		return out, tooManyTries(d.RetryAfter)
	}
	if d := t.wide.Allow(ctx, out.network); !d.Allowed {
		t.tight.Refund(ctx, out.account)
		return out, tooManyTries(d.RetryAfter)
	}
	return out, nil
}

// refund uncounts an attempt that was not wrong.
func (t attempt) refund(ctx context.Context) {
	if t.throttle != nil {
		t.throttle.tight.Refund(ctx, t.account)
		t.throttle.wide.Refund(ctx, t.network)
	}
}

func tooManyTries(after time.Duration) error {
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED, "too many wrong passwords or codes; wait before the next").WithRetryAfter(after)
}

// networkOf returns the part of an address by which attempts are counted: the whole of
// IPv4, and the network of IPv6.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, networkBits).Masked().String()
}
