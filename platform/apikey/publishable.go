package apikey

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/origin"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// PublishablePrefix is how every publishable key begins.
const PublishablePrefix = "pk_"

// NewPublishable returns a new publishable key.
func NewPublishable() string { return generate(PublishablePrefix) }

// WellFormedPublishable tells whether a text can be one of our publishable keys.
func WellFormedPublishable(key string) bool { return wellFormed(PublishablePrefix, key) }

// OriginNotAllowed is the answer to a page that may not show its key.
func OriginNotAllowed() error {
	return fault.New(faultv1.Reason_REASON_ORIGIN_NOT_ALLOWED, "the key does not list the origin of this page")
}

// Publishable is what a publishable key stands for.
type Publishable struct{ ID, OrganizationID string }

// PublishableSource answers what a key stands for on pages of an origin, or
// UNAUTHENTICATED, or ORIGIN_NOT_ALLOWED.
type PublishableSource func(ctx context.Context, key, of string) (Publishable, error)

// RemotePublishable asks over a connection to auth, which carries this service's
// credential.
func RemotePublishable(auth grpc.ClientConnInterface) PublishableSource {
	client := authv1.NewPublishableKeyDirectoryServiceClient(auth)
	return func(ctx context.Context, key, of string) (Publishable, error) {
		found, err := client.ResolvePublishableKey(ctx, &authv1.ResolvePublishableKeyRequest{Key: key, Origin: of})
		if err != nil {
			return Publishable{}, err //nolint:wrapcheck // a status, which fault.From understands
		}
		return Publishable{ID: found.GetId(), OrganizationID: found.GetOrganizationId()}, nil
	}
}

// PublishableResolver finds out what publishable keys stand for. It is safe for
// concurrent use.
type PublishableResolver struct {
	source PublishableSource
	known  *answers[shown, Publishable]
}

// shown is what a page shows.
type shown struct{ key, of string }

// NewPublishableResolver returns a resolver that asks a source, and believes the
// answer for [Believed].
func NewPublishableResolver(source PublishableSource, clk clock.Clock) (*PublishableResolver, error) {
	known, err := newAnswers[shown, Publishable](clk)
	if err != nil {
		return nil, err
	}
	return &PublishableResolver{source: source, known: known}, nil
}

// Resolve returns what a key stands for on pages of an origin, which is that of the
// request's Origin header. The faults are those of [PublishableSource]; when auth
// cannot be asked, the error is auth's.
func (r *PublishableResolver) Resolve(ctx context.Context, key, of string) (Publishable, error) {
	if !WellFormedPublishable(key) {
		return Publishable{}, identity.Unauthenticated()
	}
	if !origin.Valid(of) {
		return Publishable{}, OriginNotAllowed()
	}
	return r.known.of(shown{key, of}, func(time.Time) (Publishable, error) { return r.source(ctx, key, of) })
}
