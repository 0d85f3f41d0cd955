package rpcserver

import (
	"context"
	"net"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
)

// Names of the metadata between the gateway and the services. The gateway removes
// every x-gatehouse- name that a client sends.
const (
	// MetadataServiceToken carries the calling service's own credential.
	MetadataServiceToken = "x-gatehouse-service-token" //nolint:gosec // a name, not a credential
	// MetadataClientIP carries the client's address. It is trusted only with a valid
	// service token.
	MetadataClientIP = "x-gatehouse-client-ip"
	// MetadataUserAgent carries the client's user agent. It is trusted only with a
	// valid service token.
	MetadataUserAgent = "x-gatehouse-user-agent"
	// MetadataRequestID carries the request's id.
	MetadataRequestID = "x-request-id"
	// MetadataAuthorization carries the user's access token, as a bearer.
	MetadataAuthorization = "authorization"
	// MetadataAuthorizeOnly asks only whether the caller may make the call. The server
	// does not read the request and does not call the handler. The name is respected
	// only with a valid service token. The gateway sends it before it decodes a body
	// that is expensive to decode.
	MetadataAuthorizeOnly = "x-gatehouse-authorize-only"
	// MetadataIfMatch carries the client's If-Match.
	MetadataIfMatch = "if-match"
)

// Schemes of the Authorization header. They are case-insensitive (RFC 9110 section
// 11.1).
const (
	// SchemeBearer is the scheme of access tokens and API keys (RFC 6750).
	SchemeBearer = "Bearer"
	// SchemeTicket is the scheme of tickets. The gateway uses it to forward a ticket
	// that it found in a query.
	SchemeTicket = "Ticket"
)

const (
	maxRequestID = 128
	maxUserAgent = 512
)

// authenticate verifies the credentials of a call and returns a context with
// its callers and its origin.
func (c *chain) authenticate(ctx context.Context, method string, rule authz.Rule) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	origin := identity.Origin{RequestID: RequestID(first(md, MetadataRequestID)), IPAddress: peerAddress(ctx)}
	ctx = identity.NewOriginContext(ctx, origin)
	if token := first(md, MetadataServiceToken); token != "" {
		service, err := c.verifier.Service(ctx, token)
		if err != nil {
			return ctx, err
		}
		ctx = identity.NewServiceContext(ctx, service)
		ctx = identity.NewOriginContext(ctx, forwarded(origin, md))
	}
	if rule.Public {
		return ctx, nil // an expired token must not prevent a sign-in
	}
	return c.authenticateUser(ctx, method, md[MetadataAuthorization])
}

func (c *chain) authenticateUser(ctx context.Context, method string, values []string) (context.Context, error) {
	if len(values) == 0 {
		return ctx, nil // the authorizer decides whether the RPC needs a user
	}
	if len(values) > 1 {
		return ctx, identity.Unauthenticated()
	}
	principal, err := c.principal(ctx, method, values[0])
	if err != nil {
		return ctx, err
	}
	if err := c.revocations.Check(ctx, principal); err != nil {
		return ctx, err
	}
	return identity.NewContext(ctx, principal), nil
}

// principal returns the principal of a credential. The credential is an access token
// or an API key, both as a bearer, or a ticket when the RPC accepts tickets.
func (c *chain) principal(ctx context.Context, method, authorization string) (*identity.Principal, error) {
	scheme, credential, _ := strings.Cut(authorization, " ")
	switch {
	case strings.EqualFold(scheme, SchemeTicket) && c.tickets != nil && c.tickets.Opens(method):
		return c.tickets.Redeem(ctx, credential)
	case !strings.EqualFold(scheme, SchemeBearer) || credential == "":
		return nil, identity.Unauthenticated()
	}
	if !apikey.HasPrefix(credential) {
		return c.verifier.Access(ctx, credential)
	}
	if c.apiKeys == nil {
		return nil, identity.Unauthenticated()
	}
	return c.apiKeys.Resolve(ctx, credential)
}

// forwarded returns the origin that a trusted service states.
func forwarded(origin identity.Origin, md metadata.MD) identity.Origin {
	if ip := first(md, MetadataClientIP); net.ParseIP(ip) != nil {
		origin.IPAddress = ip
	}
	origin.UserAgent = truncate(first(md, MetadataUserAgent), maxUserAgent)
	return origin
}

// RequestID returns the given request id when it is short and plain, else a new one.
// So no client can write lines of its own to the logs.
func RequestID(given string) string {
	if given == "" || len(given) > maxRequestID {
		return id.New()
	}
	for _, r := range given {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r)
		if !plain {
			return id.New()
		}
	}
	return given
}

// Etag returns the etag of the state that a request changes: the etag in the body, or
// else the one in If-Match without its quotes. It is "" when there is neither, or when
// If-Match is "*".
func Etag(ctx context.Context, body string) string {
	if body != "" {
		return body
	}
	md, _ := metadata.FromIncomingContext(ctx)
	tag := strings.Trim(strings.TrimPrefix(first(md, MetadataIfMatch), "W/"), `"`)
	if tag == "*" {
		return ""
	}
	return tag
}

func first(md metadata.MD, name string) string {
	if values := md[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func truncate(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

func peerAddress(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return "" // bufconn has no address
	}
	return host
}
