package rpcserver

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/proto/catalog"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// MetadataIdempotencyKey carries the client's Idempotency-Key.
	MetadataIdempotencyKey = "idempotency-key"
	// HeaderReplayed tells, as "true", that an answer is that of an earlier
	// request with the same key.
	HeaderReplayed = "idempotency-replayed"

	keyField = "Idempotency-Key"
	maxKey   = 128
)

// Keyed is a request that is to be carried out once.
type Keyed struct {
	// OrganizationID and UserID are whose key it is.
	OrganizationID, UserID string
	// Method is the RPC's full name.
	Method string
	// Key is the client's key.
	Key string
	// Digest is a hash of the request's content.
	Digest []byte
}

// Replayer remembers answers; package idempotency has the one on Postgres.
type Replayer interface {
	// Once carries a request out, or reads the answer that an earlier one with
	// the same key had into answer, and tells so. A key that was used with
	// another content is IDEMPOTENCY_MISMATCH.
	Once(ctx context.Context, r Keyed, answer proto.Message, do func(context.Context) (proto.Message, error),
	) (out proto.Message, replayed bool, err error)
}

// IdempotencyKey returns the request's Idempotency-Key, or "" when there is
// none. One that is too long or not printable is INVALID_ARGUMENT.
func IdempotencyKey(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	key := first(md, MetadataIdempotencyKey)
	if len(key) > maxKey {
		return "", fault.Invalid(keyField, "must have at most %d characters", maxKey)
	}
	for _, r := range key {
		if r < ' ' || r > '~' {
			return "", fault.Invalid(keyField, "must be printable ASCII")
		}
	}
	return key, nil
}

// Once carries a signed-in caller's request out by do, or gives the answer that
// an earlier one with the same Idempotency-Key had. Unary RPCs have this around
// them; one that reads a stream calls it when it has read all.
func Once[M proto.Message](ctx context.Context, answers Replayer, method string, digest []byte, answer M, do func(context.Context) (M, error),
) (M, error) {
	key, err := IdempotencyKey(ctx)
	caller, signedIn := identity.FromContext(ctx)
	if err != nil || key == "" || !signedIn {
		if err != nil {
			return answer, err
		}
		return do(ctx)
	}
	keyed := Keyed{OrganizationID: caller.OrganizationID, UserID: caller.UserID, Method: method, Key: key, Digest: digest}
	out, replayed, err := answers.Once(ctx, keyed, answer, func(ctx context.Context) (proto.Message, error) { return do(ctx) })
	if err != nil {
		return answer, err
	}
	if replayed {
		if err := grpc.SetHeader(ctx, metadata.Pairs(HeaderReplayed, "true")); err != nil {
			return answer, err
		}
	}
	return out.(M), nil //nolint:forcetypeassert // what do or answer is
}

// keyPolicy is what becomes of an RPC's Idempotency-Key.
type keyPolicy struct {
	// refused: the answer holds a secret, which is not stored.
	refused bool
	// answer makes an empty answer, where answers are remembered.
	answer func() proto.Message
}

// keyPolicies reads them from the contracts: what only reads, and what says of
// itself that repeating is harmless, needs no memory.
func keyPolicies() map[string]keyPolicy {
	out := map[string]keyPolicy{}
	for _, m := range catalog.Methods() {
		policy := keyPolicy{refused: m.Secret()}
		if kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Descriptor.Output().FullName()); err == nil && !m.Repeatable() {
			policy.answer = func() proto.Message { return kind.New().Interface() }
		}
		out[m.FullMethod] = policy
	}
	return out
}

// once calls the handler with what its contract says of keys.
func (c *chain) once(ctx context.Context, method string, req any, handler grpc.UnaryHandler) (any, error) {
	policy := c.keys[method]
	if policy.refused {
		return c.refuseKey(ctx, req, handler)
	}
	message, ok := req.(proto.Message)
	if policy.answer == nil || c.answers == nil || !ok {
		return handler(ctx, req)
	}
	digest, err := digestOf(message)
	if err != nil {
		return nil, err
	}
	return Once(ctx, c.answers, method, digest, policy.answer(), func(ctx context.Context) (proto.Message, error) {
		resp, err := handler(ctx, req)
		out, _ := resp.(proto.Message)
		return out, err
	})
}

func (c *chain) refuseKey(ctx context.Context, req any, handler grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if first(md, MetadataIdempotencyKey) != "" {
		return nil, fault.Invalid(keyField, "is not taken here, since the answer holds a secret that must not be stored")
	}
	return handler(ctx, req)
}

func digestOf(message proto.Message) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request cannot be hashed")
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}
