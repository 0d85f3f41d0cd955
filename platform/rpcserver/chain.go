package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// exempt are the prefixes of gRPC's own methods. They have no rule and return no data.
var exempt = [...]string{"/grpc.health.v1.", "/grpc.reflection."} //nolint:gochecknoglobals // a constant table

// chain is the sequence of steps around every RPC.
type chain struct {
	log         *slog.Logger
	clock       clock.Clock
	verifier    *identity.Verifier
	authorizer  *authz.Authorizer
	validator   protovalidate.Validator
	sizes       sizes
	limits      *limits
	keys        map[string]keyPolicy
	answers     Replayer
	revocations Revocations
	apiKeys     APIKeys
	tickets     Tickets
	drain       *drain
}

func (c *chain) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	if isExempt(info.FullMethod) {
		return handler(ctx, req)
	}
	call := c.begin(ctx, info.FullMethod)
	defer func() { err = call.end(recover(), err) }()
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, unaryTimeout)
		defer cancel()
	}
	if ctx, err = c.admit(ctx, call); err != nil {
		return nil, err
	}
	if err := c.authorizer.Authorize(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if authorizeOnly(ctx) {
		return &emptypb.Empty{}, nil
	}
	if err := c.read(ctx, req, call.rule); err != nil {
		return nil, err
	}
	resp, err = c.once(ctx, info.FullMethod, req, handler)
	return resp, nameNUL(req, err)
}

func (c *chain) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	if isExempt(info.FullMethod) {
		return handler(srv, ss)
	}
	call := c.begin(ss.Context(), info.FullMethod)
	defer func() { err = call.end(recover(), err) }()
	ctx, cancel := c.drain.bind(ss.Context())
	defer cancel(context.Canceled)
	if ctx, err = c.admit(ctx, call); err != nil {
		return err
	}
	leave, err := c.limits.openStream(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if principal, ok := identity.FromContext(ctx); ok {
		defer c.revocations.Watch(principal, func() { cancel(errRevoked) })()
	}
	if err := c.authorizer.Authorize(ctx, info.FullMethod); err != nil {
		return err
	}
	if authorizeOnly(ctx) {
		return nil
	}
	checked := &checkedStream{ServerStream: ss, ctx: ctx, chain: c, rule: call.rule}
	err = handler(srv, checked)
	return ended(ctx, nameNUL(checked.received(), err))
}

// errRevoked is the cause with which a stream ends when its caller's token is revoked.
var errRevoked = errors.New("the token was revoked")

// ended returns the error of a stream. It replaces err when the server ended the
// stream, because it stops or because the token was revoked.
func ended(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(cause, errDraining):
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE,
			"the server is stopping; open the stream again from where it ended").WithRetryAfter(time.Second)
	case errors.Is(cause, errRevoked):
		return fault.Wrap(err, faultv1.Reason_REASON_UNAUTHENTICATED, "the session has ended or its rights changed")
	default:
		return err
	}
}

// admit finds the origin and the caller of a call, and counts the call against the
// caller's limit.
func (c *chain) admit(ctx context.Context, call *call) (context.Context, error) {
	call.rule, _ = c.authorizer.Rule(call.method)
	ctx, err := c.authenticate(ctx, call.method, call.rule)
	call.ctx = ctx
	if err != nil {
		return ctx, err
	}
	return ctx, c.limits.take(ctx, call.rule.Class)
}

// read decodes and validates a message of an authorized caller. It skips the
// validation when the client has disconnected by then. The cost of each step is
// bounded.
func (c *chain) read(ctx context.Context, message any, rule authz.Rule) error {
	if err := decode(ctx, message, rule); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.validate(message)
}

// authorizeOnly reports whether a call only asks whether its caller may make it.
// Only another service may ask this: it has not forwarded the request of that caller
// yet.
func authorizeOnly(ctx context.Context) bool {
	if _, ok := identity.ServiceFromContext(ctx); !ok {
		return false
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return first(md, MetadataAuthorizeOnly) != ""
}

func isExempt(fullMethod string) bool {
	for _, prefix := range exempt {
		if strings.HasPrefix(fullMethod, prefix) {
			return true
		}
	}
	return false
}

// call is what is logged about one RPC.
type call struct {
	chain  *chain
	ctx    context.Context //nolint:containedctx // replaced when the caller is known
	method string
	rule   authz.Rule
	start  time.Time
}

func (c *chain) begin(ctx context.Context, method string) *call {
	return &call{chain: c, ctx: ctx, method: method, start: c.clock.Now()}
}

// end maps the outcome of the call to a status, and logs it. The HTTP status of the
// fault decides the level: client faults are WARN, server faults are ERROR.
func (c *call) end(panicked any, err error) error {
	if panicked != nil {
		err = fault.Wrap(fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()),
			faultv1.Reason_REASON_INTERNAL, "an internal error occurred")
	}
	f := fault.From(err)
	c.write(f)
	if f == nil {
		return nil
	}
	return fault.ToStatus(f).Err()
}

func (c *call) write(f *fault.Fault) {
	level, reason := slog.LevelInfo, "OK"
	attrs := make([]slog.Attr, 0, 8)
	if f != nil {
		reason = f.Name()
		level = slog.LevelWarn
		if fault.SpecOf(f.Reason()).HTTPStatus >= 500 {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", f.Error()))
	}
	if !c.chain.log.Enabled(c.ctx, level) {
		return
	}
	if p, ok := identity.FromContext(c.ctx); ok {
		attrs = append(attrs, slog.String("user_id", p.UserID), slog.String("organization_id", p.OrganizationID))
	}
	origin := identity.OriginFromContext(c.ctx)
	attrs = append(attrs,
		slog.String("method", c.method),
		slog.String("reason", reason),
		slog.Duration("duration", c.chain.clock.Now().Sub(c.start)),
		slog.String("request_id", origin.RequestID),
		slog.String("ip_address", origin.IPAddress),
	)
	c.chain.log.LogAttrs(c.ctx, level, "rpc", attrs...)
}
