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
	// HeaderReplayed is "true" when a response is the stored response to an earlier
	// request with the same key.
	HeaderReplayed = "idempotency-replayed"

	keyField = "Idempotency-Key"
	maxKey   = 128
)

// Keyed is a request with an idempotency key.
type Keyed struct {
	// OrganizationID and UserID identify the caller. Two callers may use the same key.
	OrganizationID, UserID string
	// Method is the RPC's full name.
	Method string
	// Key is the client's key.
	Key string
	// Digest is a hash of the request's content.
	Digest []byte
}

// Replayer stores responses and replays them. Package idempotency implements it on
// Postgres.
type Replayer interface {
	// Once calls do and stores its response. When an earlier request with the same key
	// has a stored response, it reads that response into answer instead, and reports
	// that it was replayed. A key that was used with another content is
	// IDEMPOTENCY_MISMATCH.
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

// Once calls do for an authenticated caller, or returns the stored response to an
// earlier request with the same Idempotency-Key. The chain calls it for unary RPCs. An
// RPC that reads a stream calls it after it has read the whole stream.
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
	return out.(M), nil //nolint:forcetypeassert // the type of do's response and of answer
}

// keyPolicy is how the server treats the Idempotency-Key of an RPC.
type keyPolicy struct {
	// refused is set when the response contains a secret, which must not be stored.
	refused bool
	// answer returns an empty response. It is nil when responses are not stored.
	answer func() proto.Message
}

// keyPolicies returns the policy of each RPC, from the contracts. Responses are not
// stored for RPCs that only read and for RPCs that are safe to repeat.
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

// once calls the handler, and applies the RPC's policy for idempotency keys.
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
		return nil, fault.Invalid(keyField, "is not accepted here, because the response contains a secret that must not be stored")
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
