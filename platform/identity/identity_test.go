package identity_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const issuer = "http://gatehouse.test"

var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

type bundle struct {
	key      identity.SigningKey
	clock    *clock.Fake
	verifier *identity.Verifier
	fetches  int
	fetchErr error
	keys     map[string]ed25519.PublicKey
}

func setup(t *testing.T) *bundle {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{
		key: identity.SigningKey{ID: "k1", Private: private}, clock: clock.NewFake(start),
		keys: map[string]ed25519.PublicKey{"k1": public},
	}
	keys := identity.NewKeys(func(context.Context) (map[string]ed25519.PublicKey, error) {
		b.fetches++
		return b.keys, b.fetchErr
	}, b.clock)
	b.verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: issuer, Service: "chat"}, keys, b.clock)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// claims returns the claims of a good access token.
func claims() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": issuer, "sub": "u1", "aud": "gatehouse", "jti": "j1", "client_id": "gatehouse", "org": "o1", "sid": "s1",
		"roles": []string{"owner"}, "iat": start.Unix(), "exp": start.Add(15 * time.Minute).Unix(), "auth_time": start.Unix(),
	}
}

func (b *bundle) sign(t *testing.T, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["typ"], token.Header["kid"] = identity.TypeAccess, b.key.ID
	for name, value := range header {
		token.Header[name] = value
	}
	signed, err := token.SignedString(b.key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestAccess_GoodToken_IsAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token, err := identity.SignAccess(b.key, identity.AccessClaims{
		Issuer: issuer, Subject: "u1", ID: "j1", ClientID: identity.FirstParty, OrganizationID: "o1", SessionID: "s1",
		Roles: []string{"owner"}, Permissions: []string{"chat.read"}, IssuedAt: start, ExpiresAt: start.Add(time.Minute), AuthTime: start,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the cache
		p, err := b.verifier.Access(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if p.UserID != "u1" || p.OrganizationID != "o1" || p.SessionID != "s1" || !p.HasRole("owner") || !p.AuthTime.Equal(start) ||
			len(p.Permissions) != 1 || p.Permissions[0] != "chat.read" {
			t.Errorf("principal %+v", p)
		}
	}
	b.clock.Advance(time.Minute + 31*time.Second)
	if _, err := b.verifier.Access(t.Context(), token); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("a cached token is accepted after its expiry: %v", err)
	}
}

// The names of the cases begin with the numbers of their security checks.
func TestAccess_BadToken_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	with := func(name string, value any) jwt.MapClaims {
		c := claims()
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
		return c
	}
	good := b.sign(t, nil, claims())
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"S1 alg none":                  signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"S1 alg None":                  b.sign(t, map[string]any{"alg": "None"}, claims()),
		"S1 HS256 with the public key": signed(t, jwt.SigningMethodHS256, []byte(b.keys["k1"])),
		"S1 RS256":                     signed(t, jwt.SigningMethodRS256, rsaKey(t)),
		"S1 another curve":             signed(t, jwt.SigningMethodES256, ecdsaKey(t)),
		"S2 no exp":                    b.sign(t, nil, with("exp", nil)),
		"S2 past exp and leeway":       b.sign(t, nil, with("exp", start.Add(-31*time.Second).Unix())),
		"S2 exp a string":              b.sign(t, nil, with("exp", "9999999999")),
		"S2 future nbf":                b.sign(t, nil, with("nbf", start.Add(time.Hour).Unix())),
		"S2 wrong audience":            b.sign(t, nil, with("aud", "elsewhere")),
		"S2 no audience":               b.sign(t, nil, with("aud", nil)),
		"S2 empty audience":            b.sign(t, nil, with("aud", "")),
		"S2 wrong issuer":              b.sign(t, nil, with("iss", "http://evil.test")),
		"S2 no issuer":                 b.sign(t, nil, with("iss", nil)),
		"S2 empty issuer":              b.sign(t, nil, with("iss", "")),
		"S3 service token":             b.sign(t, map[string]any{"typ": identity.TypeService}, claims()),
		"S3 ID token":                  b.sign(t, map[string]any{"typ": "JWT"}, claims()),
		"S3 refresh token":             base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"S4 crit":                      b.sign(t, map[string]any{"crit": []string{"exp"}}, claims()),
		"S4 jwk":                       b.sign(t, map[string]any{"jwk": map[string]any{}}, claims()),
		"S4 jku":                       b.sign(t, map[string]any{"jku": "http://evil.test"}, claims()),
		"S4 x5u":                       b.sign(t, map[string]any{"x5u": "http://evil.test"}, claims()),
		"S4 kid with SQL":              b.sign(t, map[string]any{"kid": "k1' OR '1'='1"}, claims()),
		"S4 a claim twice":             b.signRaw(t, `{"typ":"at+jwt","alg":"EdDSA","kid":"k1"}`, `{"sub":"u2",`+string(marshal(t, claims()))[1:]),
		"S4 a header member twice":     b.signRaw(t, `{"typ":"svc+jwt","typ":"at+jwt","alg":"EdDSA","kid":"k1"}`, string(marshal(t, claims()))),
		"S4 kid with a path":           b.sign(t, map[string]any{"kid": "../../k1"}, claims()),
		"S4 claims in two cases":       b.sign(t, nil, with("SUB", "u2")),
		"S6 a large token":             b.sign(t, nil, with("pad", strings.Repeat("x", 9000))),
		"S6 a million dots":            strings.Repeat(".", 1_000_000),
		"no subject":                   b.sign(t, nil, with("sub", nil)),
		"roles of another type":        b.sign(t, nil, with("roles", []any{1})),
		"permissions of another type":  b.sign(t, nil, with("permissions", "members.write")),
		"S45 permissions written in":   parts[0] + "." + base64.RawURLEncoding.EncodeToString(marshal(t, with("permissions", []string{"members.write"}))) + "." + parts[2],
		"another payload":              parts[0] + "." + base64.RawURLEncoding.EncodeToString(marshal(t, with("sub", "u2"))) + "." + parts[2],
		"trailing newline":             good + "\n",
		"empty":                        "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.verifier.Access(t.Context(), token)
			f := fault.From(err)
			if f == nil || f.Reason() != faultv1.Reason_REASON_UNAUTHENTICATED {
				t.Fatalf("got %v", err)
			}
			if f.Detail() != fault.From(identity.Unauthenticated()).Detail() {
				t.Errorf("the fault contains the cause: %s", f.Detail())
			}
		})
	}
}

// S3, S76: a service token is valid for one service, and is not an access token.
func TestServiceToken_OtherAudience_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for audience, want := range map[string]faultv1.Reason{
		"chat":       faultv1.Reason_REASON_UNSPECIFIED,
		"management": faultv1.Reason_REASON_UNAUTHENTICATED,
	} {
		token, err := identity.SignService(b.key, identity.ServiceClaims{
			Issuer: issuer, Service: "gateway", Audience: audience, IssuedAt: start, ExpiresAt: start.Add(time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.verifier.Service(t.Context(), token)
		if got := fault.ReasonOf(err); got != want {
			t.Errorf("audience %s: got %v, want %v", audience, got, want)
		}
		if _, err := b.verifier.Access(t.Context(), token); err == nil {
			t.Error("a service token is accepted as an access token")
		}
	}
}

func TestS5UnknownKeyIDsCauseOneFetchIn30Seconds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.sign(t, nil, claims())
	if _, err := b.verifier.Access(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		_, _ = b.verifier.Access(t.Context(), b.sign(t, map[string]any{"kid": "unknown"}, claims()))
	}
	if b.fetches > 1 {
		t.Errorf("%d fetches", b.fetches)
	}
	if _, err := b.verifier.Access(t.Context(), b.sign(t, nil, claims())); err != nil {
		t.Errorf("a known key: %v", err)
	}
	b.clock.Advance(31 * time.Second)
	_, _ = b.verifier.Access(t.Context(), b.sign(t, map[string]any{"kid": "unknown"}, claims()))
	if b.fetches != 2 {
		t.Errorf("%d fetches after 31 s, want 2", b.fetches)
	}
}

func TestS7AWithdrawnKeyStopsWorking(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.sign(t, nil, claims())
	if _, err := b.verifier.Access(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	b.keys = map[string]ed25519.PublicKey{}
	b.clock.Advance(61 * time.Second)
	if _, err := b.verifier.Access(t.Context(), token); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		t.Errorf("got %v", err)
	}
}

func TestAccess_KeysCannotBeFetched_IsUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keys, b.fetchErr = nil, errors.New("connection refused")
	if _, err := b.verifier.Access(t.Context(), b.sign(t, nil, claims())); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) {
		t.Errorf("got %v", err)
	}
}

func TestNewVerifier_EmptyIssuerOrService_IsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys := identity.NewKeys(func(context.Context) (map[string]ed25519.PublicKey, error) { return b.keys, nil }, b.clock)
	for _, cfg := range []identity.VerifierConfig{{Service: "chat"}, {Issuer: issuer}} {
		if _, err := identity.NewVerifier(cfg, keys, b.clock); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
