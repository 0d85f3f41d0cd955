package oauth

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/credential/session"
	"github.com/gatehouse/gatehouse/services/auth/oauth/grant"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

// OpenLogin implements the RPC.
func (s *Service) OpenLogin(ctx context.Context, _ *authv1.OpenLoginRequest) (*authv1.OpenLoginResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	token, hash := securetoken.New()
	if err := s.store.replaceLogin(ctx, caller.OrganizationID, caller.SessionID, hash); err != nil {
		return nil, err
	}
	return &authv1.OpenLoginResponse{Login: token, ExpiresIn: int32(session.TTL.Seconds())}, nil
}

// Authorize implements the RPC.
func (s *Service) Authorize(ctx context.Context, req *authv1.AuthorizeRequest) (*authv1.AuthorizeResponse, error) {
	client, err := s.client(ctx, req.GetClientId())
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return nil, invalidRequest("client_id names no client")
	}
	if err != nil {
		return nil, err
	}
	if !client.AllowsRedirect(req.GetRedirectUri()) {
		return nil, invalidRequest("redirect_uri is not registered for this client")
	}
	a, refused := parseRequest(req, client)
	if refused != nil {
		return s.refuse(a.request, *refused)
	}
	now := s.deps.Clock.Now()
	l, err := s.store.login(ctx, securetoken.Hash(req.GetLogin()), now)
	if err != nil {
		return nil, err
	}
	a.OrganizationID = l.OrganizationID
	if client.MembersOnly {
		a.OrganizationID = client.OrganizationID
	}
	if a.signInNeeded(l, now) {
		if a.prompted(promptNone) {
			return s.refuse(a.request, refusal{"login_required", "nobody is signed in"})
		}
		return &authv1.AuthorizeResponse{Outcome: &authv1.AuthorizeResponse_SignIn{
			SignIn: &authv1.SignInPrompt{ClientDisplayName: client.DisplayName, Destination: displayOrigin(a.RedirectURI)},
		}}, nil
	}
	return s.decide(ctx, client, a, l)
}

// decide returns the response to a client's request for a signed-in user.
func (s *Service) decide(ctx context.Context, client oauthclient.Client, a authorization, l login) (out *authv1.AuthorizeResponse, err error) {
	scope := postgres.Scope{OrganizationID: a.OrganizationID, UserID: l.UserID}
	err = s.deps.DB.InTx(ctx, scope, func(ctx context.Context, tx postgres.Tx) error {
		if _, err := s.deps.Organizations.Member(ctx, tx, a.OrganizationID, l.UserID); err != nil {
			if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
				out, err = s.refuse(a.request, refusal{"access_denied", "the client is for members of its organization"})
			}
			return err
		}
		given, err := s.deps.Grants.Find(ctx, tx, a.OrganizationID, l.UserID, client.ID)
		if err != nil {
			return err
		}
		switch {
		case given.Covers(a.Scopes) && a.reusesGrant(client):
			out, err = s.redirect(s.issueCode(ctx, tx, client.ID, a.request, l))
		case a.prompted(promptNone):
			out, err = s.refuse(a.request, refusal{"consent_required", "the user has not agreed"})
		default:
			out, err = s.requestConsent(ctx, tx, client, a.request, l)
		}
		return err
	})
	return out, err
}

// requestConsent stores the consent request, and returns what the page displays.
func (s *Service) requestConsent(ctx context.Context, tx postgres.Tx, client oauthclient.Client, r request, l login) (*authv1.AuthorizeResponse, error) {
	u, err := s.deps.Users.Get(ctx, tx, l.UserID)
	if err != nil {
		return nil, err
	}
	name, err := s.store.organizationName(ctx, tx, r.OrganizationID)
	if err != nil {
		return nil, err
	}
	ticket, hash := securetoken.New()
	if err := s.store.insertConsent(ctx, tx, client.ID, r, hash, l.hash, s.deps.Clock.Now().Add(consentTTL)); err != nil {
		return nil, err
	}
	prompt := &authv1.ConsentPrompt{
		Ticket: ticket, ClientDisplayName: client.DisplayName, ClientOrganization: client.OrganizationName,
		Email: u.Email, Organization: name, Destination: displayOrigin(r.RedirectURI),
	}
	for _, scope := range r.Scopes {
		prompt.Scopes = append(prompt.Scopes, &authv1.ConsentScope{Name: scope, Description: s.scopes[scope]})
	}
	return &authv1.AuthorizeResponse{Outcome: &authv1.AuthorizeResponse_Consent{Consent: prompt}}, nil
}

// DecideConsent implements the RPC.
func (s *Service) DecideConsent(ctx context.Context, req *authv1.DecideConsentRequest) (*authv1.DecideConsentResponse, error) {
	now, hash := s.deps.Clock.Now(), securetoken.Hash(req.GetLogin())
	l, err := s.store.login(ctx, hash, now)
	if err != nil {
		return nil, err
	}
	var out string
	err = s.deps.DB.InTx(ctx, postgres.Scope{}, func(ctx context.Context, tx postgres.Tx) error {
		clientID, r, found, err := s.store.useConsent(ctx, tx, securetoken.Hash(req.GetTicket()), hash, now)
		if err != nil {
			return err
		}
		if !found || l.ID == "" {
			return invalidRequest("the consent request was answered, has expired, or belongs to another browser")
		}
		if err := s.checkRegistration(ctx, tx, clientID, r); err != nil {
			return err
		}
		if !req.GetAllow() {
			out, err = s.responseURI(r, map[string]string{"error": "access_denied"})
			return err
		}
		if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: r.OrganizationID, UserID: l.UserID}); err != nil {
			return err
		}
		if err := s.storeGrant(ctx, tx, clientID, r, l); err != nil {
			return err
		}
		out, err = s.issueCode(ctx, tx, clientID, r, l)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DecideConsentResponse{RedirectUri: out}, nil
}

// checkRegistration refuses when the client has lost, since the consent request, what
// the user consents to.
func (s *Service) checkRegistration(ctx context.Context, tx postgres.Tx, clientID string, r request) error {
	client, err := s.deps.Clients.LockShared(ctx, tx, clientID)
	if err != nil && !fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return err
	}
	registered := grant.Grant{Scopes: client.Scopes}.Covers(r.Scopes) && client.AllowsRedirect(r.RedirectURI) &&
		client.AllowsGrant(oauthclient.GrantAuthorizationCode)
	if !registered || client.MembersOnly && client.OrganizationID != r.OrganizationID {
		return invalidRequest("the program is no longer registered for this")
	}
	return nil
}

// storeGrant stores what the user consented to.
func (s *Service) storeGrant(ctx context.Context, tx postgres.Tx, clientID string, r request, l login) error {
	grantID, err := s.deps.Grants.Upsert(ctx, tx, grant.Grant{
		OrganizationID: r.OrganizationID, UserID: l.UserID, ClientID: clientID, Scopes: r.Scopes,
	}, clock.Stamp(s.deps.Clock))
	if err != nil {
		return err
	}
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: r.OrganizationID, ActorID: l.UserID, Action: "auth.grant.created", ResourceType: "grant", ResourceID: grantID,
		Changes: map[string]audit.Change{"scopes": {After: r.Scopes}, "client": {After: clientID}},
	})
}

// responseURI returns the redirect URI with a response for the client, and with the
// issuer that sends it (RFC 9207).
func (s *Service) responseURI(r request, parameters map[string]string) (string, error) {
	parameters["state"], parameters["iss"] = r.State, s.deps.Issuer
	return addParameters(r.RedirectURI, parameters)
}

// issueCode creates a code, and returns the redirect URI that passes it to the client.
func (s *Service) issueCode(ctx context.Context, tx postgres.Tx, clientID string, r request, l login) (string, error) {
	code, hash := securetoken.New()
	if err := s.store.insertCode(ctx, tx, clientID, r, l, hash, s.deps.Clock.Now().Add(CodeTTL)); err != nil {
		return "", err
	}
	return s.responseURI(r, map[string]string{"code": code})
}

// refuse returns the redirect that passes an error to the client.
func (s *Service) refuse(r request, why refusal) (*authv1.AuthorizeResponse, error) {
	return s.redirect(s.responseURI(r, map[string]string{"error": why.code, "error_description": why.description}))
}

func (s *Service) redirect(uri string, err error) (*authv1.AuthorizeResponse, error) {
	if err != nil {
		return nil, err
	}
	return &authv1.AuthorizeResponse{Outcome: &authv1.AuthorizeResponse_RedirectUri{RedirectUri: uri}}, nil
}
