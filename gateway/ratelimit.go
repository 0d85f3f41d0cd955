package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	headerRateLimit       = "RateLimit"
	headerRateLimitPolicy = "RateLimit-Policy"
	// maxStreams is how many streams one client may hold open at once.
	maxStreams = 100
)

// limitAddress limits requests by client address, before anybody knows who
// asks. Every answer tells where the client stands; the answer of a service,
// which counts by caller, replaces it.
func (g *Gateway) limitAddress(next http.Handler) http.Handler {
	if g.limiter == nil {
		return next
	}
	policy := g.limiter.PolicyHeader()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decision := g.limiter.Allow(r.Context(), limitKey(exchangeOf(r.Context()).client))
		w.Header().Set(headerRateLimitPolicy, policy)
		w.Header().Set(headerRateLimit, g.limiter.Header(decision))
		if !decision.Allowed {
			g.fail(w, r, fault.New(faultv1.Reason_REASON_RATE_LIMITED,
				"more than %d requests in a minute from this address", g.config.AddressQuota.PerMinute).
				WithRetryAfter(decision.RetryAfter))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serviceHeaders moves what a service may tell the client from its metadata to
// the answer. Everything else that a service says stays inside.
func serviceHeaders(h http.Header, md metadata.MD) {
	for name, header := range map[string]string{
		rpcserver.MetadataRateLimit:       headerRateLimit,
		rpcserver.MetadataRateLimitPolicy: headerRateLimitPolicy,
		"etag":                            "ETag",
		"idempotency-replayed":            "Idempotency-Replayed",
	} {
		if values := md.Get(name); len(values) > 0 {
			h.Set(header, values[0])
		}
	}
}

// streamCounter bounds how many streams one client holds open, so that one
// that opens them and reads none cannot use up what others need.
type streamCounter struct {
	mu   sync.Mutex
	open map[streamKey]int
}

// streamKey is a hash of the owner of a stream.
type streamKey [sha256.Size]byte

// streamKeyOf returns the bucket in which a stream is counted. It depends on the
// principal, not on how the client spells its header or which of its tokens it
// sends:
//
//   - an access token counts for its subject. The gateway verifies no token, so
//     the subject is only a claim, and the bucket is that of the subject at this
//     address: a client that forges a token with another user's subject uses up
//     nothing of that user's bucket elsewhere. A client with many addresses has
//     a bucket at each, and the service bounds it, because the service counts
//     verified users;
//   - any other credential, such as an API key, counts for itself: nobody else
//     can send it;
//   - without a credential, the address counts.
func streamKeyOf(r *http.Request) streamKey {
	address := limitKey(exchangeOf(r.Context()).client)
	scheme, credential := credentialOf(r)
	if scheme == "" {
		return hashKey("address", address)
	}
	if subject := claimedSubject(credential); scheme == "bearer" && subject != "" {
		return hashKey("subject", subject, address)
	}
	return hashKey("credential", scheme, credential)
}

// hashKey hashes parts. They must hold no NUL.
func hashKey(parts ...string) streamKey { return sha256.Sum256([]byte(strings.Join(parts, "\x00"))) }

// credentialOf splits the Authorization header into its scheme and its
// credential. The scheme is in lower case, because schemes are case-insensitive
// (RFC 9110 section 11.1). Both are empty when there is none.
func credentialOf(r *http.Request) (scheme, credential string) {
	scheme, credential, _ = strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	return strings.ToLower(scheme), strings.TrimSpace(credential)
}

// claimedSubject returns the subject that an access token claims, or "" when the
// credential is no token. It verifies nothing.
func claimedSubject(credential string) string {
	parts := strings.Split(credential, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil || strings.Contains(claims.Subject, "\x00") {
		return ""
	}
	return claims.Subject
}

// enter counts a stream in; leave must be called at its end. It refuses one
// stream too many.
func (c *streamCounter) enter(key streamKey) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key] >= maxStreams {
		return nil, false
	}
	c.open[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open[key]--; c.open[key] <= 0 {
			delete(c.open, key)
		}
	}, true
}

// openStream counts a stream in for the limit and for the gauge. The caller
// calls leave at its end.
func (g *Gateway) openStream(r *http.Request) (leave func(), refused *fault.Fault) {
	uncount := func() {}
	if g.config.RateLimits {
		var ok bool
		if uncount, ok = g.streams.enter(streamKeyOf(r)); !ok {
			return nil, fault.New(faultv1.Reason_REASON_RATE_LIMITED, "more than %d open streams", maxStreams)
		}
	}
	ctx := r.Context()
	g.telemetry.streams.Add(ctx, 1)
	return func() {
		uncount()
		g.telemetry.streams.Add(ctx, -1)
	}, nil
}
