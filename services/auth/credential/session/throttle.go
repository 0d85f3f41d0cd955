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

// networkBits is what of an IPv6 address one customer of a network has: to count
// the whole addresses would count nothing.
const networkBits = 64

// Throttle bounds wrong passwords: of an account from one network tightly, and of
// all accounts from one network widely. Nothing is counted of an account alone:
// else a stranger could lock its owner out. An account is what was typed, whether
// there is one or not, so that the limit tells nothing either.
//
// A try counts before its password is judged, as many may come at once, and is
// given back when the password was right.
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

// Passwords judges passwords, as ones of not too many of an account. A process needs
// only one, wherever a password is asked for.
type Passwords struct {
	hasher   *user.Hasher
	throttle *Throttle
}

// NewPasswords returns a judge; a nil throttle limits nothing.
func NewPasswords(hasher *user.Hasher, throttle *Throttle) *Passwords {
	return &Passwords{hasher: hasher, throttle: throttle}
}

// Verify tells whether a password has a hash, or answers RATE_LIMITED. The account is
// how its passwords are counted.
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

// attempt is one password that is about to be judged.
type attempt struct {
	throttle         *Throttle
	account, network string
}

// reserve counts a try of an account, or answers RATE_LIMITED. A nil throttle limits
// nothing.
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

// refund takes the try back, which was no wrong password.
func (t attempt) refund(ctx context.Context) {
	if t.throttle != nil {
		t.throttle.tight.Refund(ctx, t.account)
		t.throttle.wide.Refund(ctx, t.network)
	}
}

func tooManyTries(after time.Duration) error {
	return fault.New(faultv1.Reason_REASON_RATE_LIMITED, "too many wrong passwords or codes; wait before the next").WithRetryAfter(after)
}

// networkOf is the part of an address by which tries are counted: all of IPv4,
// and of IPv6 the network.
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
