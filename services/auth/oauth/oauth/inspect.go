package oauth

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// IntrospectToken implements the RPC. A public client cannot prove its identity, and so
// is refused (RFC 7662 section 2.1).
func (s *Service) IntrospectToken(ctx context.Context, req *authv1.ClientTokenRequest) (*authv1.Introspection, error) {
	client, err := s.authenticate(ctx, req.GetClient())
	if err != nil {
		return nil, err
	}
	if !client.Confidential() {
		return nil, fault.New(faultv1.Reason_REASON_OAUTH_INVALID_CLIENT, "only a client with a secret may introspect tokens")
	}
	p, err := s.accessToken(ctx, client, req.GetToken())
	if err != nil {
		return nil, err
	}
	if p != nil {
		return &authv1.Introspection{
			Active: true, Scope: strings.Join(p.Scopes, " "), Sub: p.UserID, Org: p.OrganizationID, TokenType: "Bearer",
			Iat: p.IssueTime.Unix(), Exp: p.IssueTime.Add(session.AccessTTL).Unix(),
		}, nil
	}
	t, works, err := s.store.refreshToken(ctx, securetoken.Hash(req.GetToken()), client.ID, s.deps.Clock.Now())
	if err != nil || !works {
		return &authv1.Introspection{}, err
	}
	return &authv1.Introspection{
		Active: true, Scope: strings.Join(t.Scopes, " "), Sub: t.UserID, Org: t.OrganizationID, TokenType: "refresh_token",
		Iat: t.CreateTime.Unix(), Exp: t.ExpireTime.Unix(),
	}, nil
}

// accessToken returns the principal of a client's access token. It is nil when the
// token is not an access token, belongs to another client, or was revoked.
func (s *Service) accessToken(ctx context.Context, client oauthclient.Client, token string) (*identity.Principal, error) {
	p, err := s.verifier.Access(ctx, token)
	if fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
		return nil, nil //nolint:nilnil // another kind of token
	}
	if err != nil {
		return nil, err
	}
	revoked, err := s.deps.Revocations.IsRevoked(ctx, p)
	if err != nil || revoked || p.ClientID != client.ID {
		return nil, err
	}
	return p, nil
}

// RevokeToken implements the RPC. Revoking either token ends the session of both.
func (s *Service) RevokeToken(ctx context.Context, req *authv1.ClientTokenRequest) (*authv1.RevokeTokenResponse, error) {
	client, err := s.authenticate(ctx, req.GetClient())
	if err != nil {
		return nil, err
	}
	p, err := s.accessToken(ctx, client, req.GetToken())
	if err != nil {
		return nil, err
	}
	if p == nil {
		return &authv1.RevokeTokenResponse{}, s.deps.Sessions.SignOutFor(ctx, client.ID, req.GetToken())
	}
	scope := postgres.Scope{OrganizationID: p.OrganizationID, UserID: p.UserID}
	err = s.deps.DB.InTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.store.endSession(ctx, tx, p, s.deps.Clock.Now()); err != nil {
			return err
		}
		if err := s.deps.Revocations.RevokeSession(ctx, tx, p.SessionID); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: p.OrganizationID, ActorID: p.UserID, Action: "auth.session.revoked", ResourceType: "session", ResourceID: p.SessionID,
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RevokeTokenResponse{}, nil
}

// GetUserInfo implements the RPC.
func (s *Service) GetUserInfo(ctx context.Context, _ *authv1.GetUserInfoRequest) (*authv1.UserInfo, error) {
	p, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	u, err := s.deps.Users.Find(ctx, p.UserID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return nil, identity.Unauthenticated() // a client that acts for itself is not a user
	}
	if err != nil {
		return nil, err
	}
	out := &authv1.UserInfo{Sub: u.ID}
	if p.FirstParty() || slices.Contains(p.Scopes, oauthclient.ScopeProfile) {
		updated := u.UpdateTime.Unix()
		out.Name, out.Locale, out.UpdatedAt = &u.DisplayName, &u.Locale, &updated
	}
	if p.FirstParty() || slices.Contains(p.Scopes, oauthclient.ScopeEmail) {
		out.Email, out.EmailVerified = &u.Email, &u.EmailVerified
	}
	return out, nil
}

// EndLogin implements the RPC.
func (s *Service) EndLogin(ctx context.Context, req *authv1.EndLoginRequest) (*authv1.EndLoginResponse, error) {
	hint, err := s.verifier.ID(ctx, req.GetIdTokenHint())
	if req.GetIdTokenHint() != "" && err != nil {
		if fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			return nil, invalidRequest("id_token_hint is not a token of this issuer")
		}
		return nil, err
	}
	out := &authv1.EndLoginResponse{}
	if out.RedirectUri, err = s.logoutRedirect(ctx, req, hint); err != nil {
		return nil, err
	}
	out.Destination = displayOrigin(req.GetPostLogoutRedirectUri())
	now, hash := s.deps.Clock.Now(), securetoken.Hash(req.GetLogin())
	l, err := s.store.login(ctx, hash, now)
	if err != nil || l.ID == "" {
		return out, err
	}
	// A token of the user proves that the user is meant. A link without one may come
	// from anyone, so the user must confirm.
	if !req.GetConfirmed() && hint.Subject != l.UserID {
		out.Confirm = true
		return out, nil
	}
	err = s.deps.DB.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		ended, found, err := s.store.endLogin(ctx, tx, hash, now)
		if err != nil || !found {
			return err
		}
		if err := s.deps.Revocations.RevokeSession(ctx, tx, ended.ID); err != nil {
			return err
		}
		return s.deps.Trail.Append(ctx, tx, audit.Event{
			OrganizationID: ended.OrganizationID, ActorID: ended.UserID, Action: "auth.session.revoked",
			ResourceType: "session", ResourceID: ended.ID,
		})
	})
	return out, err
}

// logoutRedirect returns where the browser goes after the sign-out. The client must
// have registered exactly this address.
func (s *Service) logoutRedirect(ctx context.Context, req *authv1.EndLoginRequest, hint identity.IDClaims) (string, error) {
	if req.GetPostLogoutRedirectUri() == "" {
		return "", nil
	}
	clientID := req.GetClientId()
	if clientID == "" {
		clientID = hint.ClientID
	}
	if hint.ClientID != "" && hint.ClientID != clientID {
		return "", invalidRequest("id_token_hint is another client's")
	}
	client, err := s.client(ctx, clientID)
	if err != nil && !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return "", err
	}
	if !slices.Contains(client.PostLogoutRedirectURIs, req.GetPostLogoutRedirectUri()) {
		return "", invalidRequest("post_logout_redirect_uri is not registered for this client")
	}
	return addParameters(req.GetPostLogoutRedirectUri(), map[string]string{"state": req.GetState()})
}
