package oauth

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
)

// The values of prompt (OpenID Connect Core 1.0 section 3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptSelect  = "select_account"
)

// challengePattern matches a SHA-256 in base64url (RFC 7636 section 4.2).
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// request is what a client requests, as it is stored during the consent request.
type request struct {
	RedirectURI string   `json:"redirectUri"`
	State       string   `json:"state"`
	Nonce       string   `json:"nonce"`
	Challenge   string   `json:"challenge"`
	Scopes      []string `json:"scopes"`
	// OrganizationID is the organization in which the client would act.
	OrganizationID string `json:"organizationId"`
}

// authorization is a request with its conditions for the user.
type authorization struct {
	request
	prompts []string
	// maxAge is the greatest age of the user's sign-in. It is negative when the age
	// does not matter.
	maxAge time.Duration
}

func (a *authorization) prompted(value string) bool { return slices.Contains(a.prompts, value) }

// refusal is what is wrong with a request, as an error of RFC 6749 section 4.1.2.1 for
// the client.
type refusal struct{ code, description string }

// parseRequest checks a request of a client whose redirect URI is valid.
func parseRequest(req *authv1.AuthorizeRequest, client oauthclient.Client) (authorization, *refusal) {
	a := authorization{request: request{
		RedirectURI: req.GetRedirectUri(), State: req.GetState(), Nonce: req.GetNonce(), Challenge: req.GetCodeChallenge(),
	}, prompts: strings.Fields(req.GetPrompt()), maxAge: -1}
	switch {
	case req.GetRequestObject() != "":
		return a, &refusal{"request_not_supported", "request objects are not supported"}
	case req.GetResponseType() == "":
		return a, &refusal{"invalid_request", "response_type is missing"}
	case req.GetResponseType() != "code":
		return a, &refusal{"unsupported_response_type", "response_type must be code"}
	case req.GetResponseMode() != "" && req.GetResponseMode() != "query":
		return a, &refusal{"invalid_request", "response_mode must be query"}
	case !client.AllowsGrant(oauthclient.GrantAuthorizationCode):
		return a, &refusal{"unauthorized_client", "the client is not registered for authorization_code"}
	case req.GetCodeChallengeMethod() != "S256":
		return a, &refusal{"invalid_request", "code_challenge_method must be S256"}
	case !challengePattern.MatchString(req.GetCodeChallenge()):
		return a, &refusal{"invalid_request", "code_challenge must be a SHA-256 in base64url"}
	}
	var err error
	if a.Scopes, err = parseScopes(req.GetScope(), client.Scopes); err != nil {
		return a, &refusal{"invalid_scope", "a scope is unknown, or the client is not registered for it"}
	}
	return a, a.readPrompt(req.GetMaxAge())
}

func (a *authorization) readPrompt(maxAge string) *refusal {
	for _, value := range a.prompts {
		if !slices.Contains([]string{promptNone, promptLogin, promptConsent, promptSelect}, value) {
			return &refusal{"invalid_request", "prompt has an unknown value"}
		}
	}
	if a.prompted(promptNone) && len(a.prompts) > 1 {
		return &refusal{"invalid_request", "prompt=none cannot be combined with other values"}
	}
	if maxAge == "" {
		return nil
	}
	seconds, err := strconv.ParseUint(maxAge, 10, 31)
	if err != nil {
		return &refusal{"invalid_request", "max_age must be a number of seconds"}
	}
	a.maxAge = time.Duration(seconds) * time.Second
	return nil
}

// signInNeeded reports whether the user must sign in, or sign in again.
func (a *authorization) signInNeeded(l login, now time.Time) bool {
	elsewhere := a.OrganizationID != l.OrganizationID && identity.BoundToOrganization(l.Methods)
	return l.ID == "" || elsewhere || a.prompted(promptLogin) || a.prompted(promptSelect) || a.maxAge >= 0 && now.Sub(l.AuthTime) > a.maxAge
}

// reusesGrant reports whether an earlier consent counts for this request. It does not
// for a program without a secret at an address that is not its own, because any program
// could make the request (RFC 8252 section 8.6).
func (a *authorization) reusesGrant(client oauthclient.Client) bool {
	return !a.prompted(promptConsent) && (client.Confidential() || strings.HasPrefix(a.RedirectURI, "https:"))
}
