package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// IssueToken implements the RPC.
func (s *Service) IssueToken(ctx context.Context, req *authv1.IssueTokenRequest) (*authv1.OAuthTokens, error) {
	client, err := s.authenticate(ctx, req.GetClient())
	if err != nil {
		return nil, err
	}
	grants := map[string]func(context.Context, oauthclient.Client, *authv1.IssueTokenRequest) (*authv1.OAuthTokens, error){
		oauthclient.GrantAuthorizationCode: s.exchange,
		oauthclient.GrantRefreshToken:      s.refresh,
		oauthclient.GrantClientCredentials: s.clientCredentials,
	}
	issue, known := grants[req.GetGrantType()]
	switch {
	case req.GetGrantType() == "":
		return nil, invalidRequest("grant_type is missing")
	case !known:
		return nil, fault.New(faultv1.Reason_REASON_OAUTH_UNSUPPORTED_GRANT_TYPE, "this grant_type is not supported")
	case !client.AllowsGrant(req.GetGrantType()):
		return nil, unauthorizedClient()
	}
	return issue(ctx, client, req)
}

// exchange exchanges a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
func (s *Service) exchange(ctx context.Context, client oauthclient.Client, req *authv1.IssueTokenRequest) (*authv1.OAuthTokens, error) {
	if req.GetCode() == "" {
		return nil, invalidRequest("code is missing")
	}
	// The key is read first, so that no code is used up without a response.
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	var used code
	var sign func(identity.SigningKey) (*authv1.TokenResponse, error)
	// A refusal is returned after the transaction, so that its changes are
	// committed.
	var refusal error
	err = s.deps.DB.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		hash, now := securetoken.Hash(req.GetCode()), s.deps.Clock.Now()
		var works bool
		var err error
		if used, works, err = s.store.useCode(ctx, tx, hash, client.ID, id.New(), now); err != nil {
			return err
		}
		refusal = nil
		if !works {
			refusal = invalidGrant()
			return s.revokeReused(ctx, tx, hash, client.ID)
		}
		if used.redirectURI != req.GetRedirectUri() || !matchesChallenge(req.GetCodeVerifier(), used.challenge) {
			refusal = invalidGrant()
			return nil
		}
		sign, err = s.deps.Sessions.Delegate(ctx, tx, used.Session)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return nil, fault.From(err)
	}
	tokens, err := sign(signing)
	if err != nil {
		return nil, err
	}
	return s.tokensFor(signing, client, tokens, used.Session, used.nonce)
}

// minVerifier and maxVerifier bound the length of a code verifier (RFC 7636 section
// 4.1). A shorter one could be guessed.
const minVerifier, maxVerifier = 43, 128

// matchesChallenge reports whether a verifier is that of a challenge (RFC 7636 section
// 4.6).
func matchesChallenge(verifier, challenge string) bool {
	if len(verifier) < minVerifier || len(verifier) > maxVerifier {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// revokeReused ends what was opened with a code that is now presented again (RFC 6749
// section 4.1.2).
func (s *Service) revokeReused(ctx context.Context, tx postgres.Tx, hash []byte, clientID string) error {
	reused, ended, err := s.store.revokeReusedCode(ctx, tx, hash, clientID, s.deps.Clock.Now())
	if err != nil || !ended {
		return err
	}
	if err := s.deps.Revocations.RevokeSession(ctx, tx, reused.ID); err != nil {
		return err
	}
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: reused.OrganizationID, ActorID: reused.UserID, Action: "auth.session.reuse_detected",
		ResourceType: "session", ResourceID: reused.ID,
	})
}

// refresh exchanges a refresh token for tokens (RFC 6749 section 6), within what the
// client is still registered for.
func (s *Service) refresh(ctx context.Context, client oauthclient.Client, req *authv1.IssueTokenRequest) (*authv1.OAuthTokens, error) {
	if req.GetRefreshToken() == "" {
		return nil, invalidRequest("refresh_token is missing")
	}
	narrow := func(ctx context.Context, tx postgres.Tx, session *session.Session) error {
		held, err := s.lockClient(ctx, tx, client, oauthclient.GrantRefreshToken)
		if err != nil {
			return err
		}
		client = held
		left := slices.DeleteFunc(slices.Clone(session.Scopes), func(scope string) bool { return !slices.Contains(client.Scopes, scope) })
		if len(left) == 0 || client.MembersOnly && session.OrganizationID != client.OrganizationID {
			return invalidGrant()
		}
		session.Scopes, err = parseScopes(req.GetScope(), left)
		return err
	}
	tokens, refreshed, err := s.deps.Sessions.RefreshFor(ctx, client.ID, req.GetRefreshToken(), narrow)
	if fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID) || fault.Is(err, faultv1.Reason_REASON_REFRESH_TOKEN_REUSED) {
		return nil, invalidGrant()
	}
	if err != nil {
		return nil, err
	}
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	return s.tokensFor(signing, client, tokens, refreshed, "")
}

// lockClient returns an authenticated client, and keeps it unchanged until the
// transaction ends. Tokens must not be issued with a registration or a secret that has
// just been changed.
func (s *Service) lockClient(ctx context.Context, tx postgres.Tx, client oauthclient.Client, grantType string) (oauthclient.Client, error) {
	held, err := s.deps.Clients.LockShared(ctx, tx, client.ID)
	switch {
	case fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) || err == nil && !bytes.Equal(held.SecretHash, client.SecretHash):
		return held, invalidClient()
	case err == nil && !held.AllowsGrant(grantType):
		return held, unauthorizedClient()
	default:
		return held, err
	}
}

func unauthorizedClient() error {
	return fault.New(faultv1.Reason_REASON_OAUTH_UNAUTHORIZED_CLIENT, "the client is not registered for this grant_type")
}

// clientCredentials issues a token with which a client acts for itself in its
// organization, within its scopes (RFC 6749 section 4.4). There is no session, so the
// token is not refreshed.
func (s *Service) clientCredentials(ctx context.Context, client oauthclient.Client, req *authv1.IssueTokenRequest) (*authv1.OAuthTokens, error) {
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	var tokenID string
	var now time.Time
	err = s.deps.DB.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		held, err := s.lockClient(ctx, tx, client, oauthclient.GrantClientCredentials)
		if err != nil {
			return err
		}
		client, tokenID, now = held, id.New(), s.deps.Clock.Now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	scopes, err := parseScopes(req.GetScope(), client.Scopes)
	if err != nil {
		return nil, err
	}
	// There is no user, so the scopes of OpenID Connect have no meaning.
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return slices.Contains(oauthclient.OpenIDScopes(), scope) })
	if len(scopes) == 0 {
		return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_SCOPE, "a client that acts for itself needs a permission as scope")
	}
	access, err := identity.SignAccess(signing, identity.AccessClaims{
		Issuer: s.deps.Issuer, Subject: client.ID, ID: tokenID, ClientID: client.ID, OrganizationID: client.OrganizationID,
		SessionID: id.New(), Scopes: scopes, Permissions: scopes, IssuedAt: now, ExpiresAt: now.Add(session.AccessTTL), AuthTime: now,
	})
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the token could not be signed")
	}
	return &authv1.OAuthTokens{
		AccessToken: access, ExpiresIn: int32(session.AccessTTL.Seconds()), Scope: strings.Join(scopes, " "),
	}, nil
}

// tokensFor returns the tokens of a session in which a client acts for a user.
func (s *Service) tokensFor(signing identity.SigningKey, client oauthclient.Client, tokens *authv1.TokenResponse, opened session.Session, nonce string) (*authv1.OAuthTokens, error) {
	out := &authv1.OAuthTokens{AccessToken: tokens.GetAccessToken(), ExpiresIn: tokens.GetExpiresIn(), Scope: strings.Join(opened.Scopes, " ")}
	if client.AllowsGrant(oauthclient.GrantRefreshToken) {
		out.RefreshToken = tokens.GetRefreshToken()
	}
	if !slices.Contains(opened.Scopes, oauthclient.ScopeOpenID) {
		return out, nil
	}
	now := s.deps.Clock.Now()
	var err error
	out.IdToken, err = identity.SignID(signing, identity.IDClaims{
		Issuer: s.deps.Issuer, Subject: opened.UserID, ClientID: client.ID, SessionID: opened.ID, Nonce: nonce, IssuedAt: now,
		ExpiresAt: now.Add(session.AccessTTL), AuthTime: opened.AuthTime, AMR: opened.Methods, AccessToken: tokens.GetAccessToken(),
		Profile: profile(tokens.GetUser(), opened.Scopes),
	})
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the token could not be signed")
	}
	return out, nil
}

// profile returns the claims about a user that the scopes allow in an ID token.
func profile(u *authv1.User, scopes []string) map[string]any {
	out := map[string]any{}
	if slices.Contains(scopes, oauthclient.ScopeProfile) {
		out["name"] = u.GetDisplayName()
	}
	if slices.Contains(scopes, oauthclient.ScopeEmail) {
		out["email"], out["email_verified"] = u.GetEmail(), u.GetEmailVerified()
	}
	return out
}
