package oauth

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/oauth/oauthclient"
)

const challenge43 = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

func registeredClient() oauthclient.Client {
	return oauthclient.Client{
		Scopes: []string{"openid", "chat.read"}, GrantTypes: []string{oauthclient.GrantAuthorizationCode},
		RedirectURIs: []string{"https://app.example/cb"},
	}
}

func validRequest() *authv1.AuthorizeRequest {
	return &authv1.AuthorizeRequest{
		RedirectUri: "https://app.example/cb", ResponseType: "code", Scope: "openid", State: "s", Nonce: "n",
		CodeChallenge: challenge43, CodeChallengeMethod: "S256",
	}
}

func TestParseRequest_EachRule_ReturnsTheErrorOfTheRFC(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*authv1.AuthorizeRequest)
		code   string // empty: accepted
	}{
		{"a request", func(*authv1.AuthorizeRequest) {}, ""},
		{"without state and nonce", func(r *authv1.AuthorizeRequest) { r.State, r.Nonce = "", "" }, ""},
		{"a request object", func(r *authv1.AuthorizeRequest) { r.RequestObject = "e30" }, "request_not_supported"},
		{"no response_type", func(r *authv1.AuthorizeRequest) { r.ResponseType = "" }, "invalid_request"},
		{"the implicit flow", func(r *authv1.AuthorizeRequest) { r.ResponseType = "token" }, "unsupported_response_type"},
		{"a hybrid flow", func(r *authv1.AuthorizeRequest) { r.ResponseType = "code id_token" }, "unsupported_response_type"},
		{"response_mode query", func(r *authv1.AuthorizeRequest) { r.ResponseMode = "query" }, ""},
		{"response_mode fragment", func(r *authv1.AuthorizeRequest) { r.ResponseMode = "fragment" }, "invalid_request"},
		{"no challenge method", func(r *authv1.AuthorizeRequest) { r.CodeChallengeMethod = "" }, "invalid_request"},
		{"the plain method", func(r *authv1.AuthorizeRequest) { r.CodeChallengeMethod = "plain" }, "invalid_request"},
		{"the method in other letters", func(r *authv1.AuthorizeRequest) { r.CodeChallengeMethod = "s256" }, "invalid_request"},
		{"no challenge", func(r *authv1.AuthorizeRequest) { r.CodeChallenge = "" }, "invalid_request"},
		{"a challenge of 42 characters", func(r *authv1.AuthorizeRequest) { r.CodeChallenge = challenge43[:42] }, "invalid_request"},
		{"a challenge of 44 characters", func(r *authv1.AuthorizeRequest) { r.CodeChallenge += "A" }, "invalid_request"},
		{"a challenge with padding", func(r *authv1.AuthorizeRequest) { r.CodeChallenge = challenge43[:42] + "=" }, "invalid_request"},
		{"a challenge with a line break", func(r *authv1.AuthorizeRequest) { r.CodeChallenge += "\n" }, "invalid_request"},
		{"a scope that is not registered", func(r *authv1.AuthorizeRequest) { r.Scope = "openid chat.write" }, "invalid_scope"},
		{"an unknown prompt", func(r *authv1.AuthorizeRequest) { r.Prompt = "create" }, "invalid_request"},
		{"prompt none", func(r *authv1.AuthorizeRequest) { r.Prompt = "none" }, ""},
		{"prompt none and another", func(r *authv1.AuthorizeRequest) { r.Prompt = "none login" }, "invalid_request"},
		{"two prompts", func(r *authv1.AuthorizeRequest) { r.Prompt = "login consent" }, ""},
		{"max_age 0", func(r *authv1.AuthorizeRequest) { r.MaxAge = "0" }, ""},
		{"the greatest max_age", func(r *authv1.AuthorizeRequest) { r.MaxAge = "2147483647" }, ""},
		{"a greater max_age", func(r *authv1.AuthorizeRequest) { r.MaxAge = "2147483648" }, "invalid_request"},
		{"a negative max_age", func(r *authv1.AuthorizeRequest) { r.MaxAge = "-1" }, "invalid_request"},
		{"a max_age that is no number", func(r *authv1.AuthorizeRequest) { r.MaxAge = "1h" }, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			req := validRequest()
			tc.change(req)
			got, refused := parseRequest(req, registeredClient())
			if tc.code == "" && refused != nil || tc.code != "" && (refused == nil || refused.code != tc.code) {
				t.Errorf("refused with %v, want %q", refused, tc.code)
			}
			// The client gets its state with an error too.
			if got.State != req.GetState() || got.RedirectURI != req.GetRedirectUri() {
				t.Errorf("parsed as %+v", got)
			}
		})
	}
	client := registeredClient()
	client.GrantTypes = []string{oauthclient.GrantClientCredentials}
	if _, refused := parseRequest(validRequest(), client); refused == nil || refused.code != "unauthorized_client" {
		t.Errorf("a client without the grant: %v", refused)
	}
}

func TestParseScopes_AreSortedOnceAndRegistered(t *testing.T) {
	t.Parallel()
	registered := []string{"openid", "chat.read", "chat.write"}
	for parameter, want := range map[string][]string{
		"":                             registered,
		"  ":                           registered,
		"openid":                       {"openid"},
		"openid  chat.read\topenid":    {"chat.read", "openid"},
		"chat.write openid chat.read ": {"chat.read", "chat.write", "openid"},
	} {
		if got, err := parseScopes(parameter, registered); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", parameter, got, err, want)
		}
	}
	for _, parameter := range []string{"OpenID", "openid,chat.read", "openid admin", "chat"} {
		if got, err := parseScopes(parameter, registered); !fault.Is(err, faultv1.Reason_REASON_OAUTH_INVALID_SCOPE) {
			t.Errorf("%q: %v, %v", parameter, got, err)
		}
	}
}

func TestSignInNeeded_DependsOnPromptAgeAndOrganization(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	signedIn := login{}
	signedIn.ID, signedIn.OrganizationID, signedIn.AuthTime = "session", "home", now.Add(-time.Minute)
	bound := signedIn
	bound.Methods = []string{identity.MethodFederated, identity.MethodOrganization}
	for _, tc := range []struct {
		name         string
		l            login
		organization string
		prompts      []string
		maxAge       time.Duration
		want         bool
	}{
		{"signed in", signedIn, "home", nil, -1, false},
		{"nobody is signed in", login{}, "", nil, -1, true},
		{"prompt login", signedIn, "home", []string{promptLogin}, -1, true},
		{"prompt select_account", signedIn, "home", []string{promptSelect}, -1, true},
		{"prompt consent", signedIn, "home", []string{promptConsent}, -1, false},
		{"as old as max_age", signedIn, "home", nil, time.Minute, false},
		{"older than max_age", signedIn, "home", nil, time.Minute - 1, true},
		{"max_age 0", signedIn, "home", nil, 0, true},
		{"another organization", signedIn, "other", nil, -1, false},
		{"bound to its organization", bound, "home", nil, -1, false},
		{"bound to another organization", bound, "other", nil, -1, true},
	} {
		a := authorization{request: request{OrganizationID: tc.organization}, prompts: tc.prompts, maxAge: tc.maxAge}
		if got := a.signInNeeded(tc.l, now); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestReusesGrant_PublicClientNeedsHTTPS(t *testing.T) {
	t.Parallel()
	secret := oauthclient.Client{SecretHash: []byte{1}}
	for _, tc := range []struct {
		name, uri string
		client    oauthclient.Client
		prompts   []string
		want      bool
	}{
		{"a public client at https", "https://app.example/cb", oauthclient.Client{}, nil, true},
		{"a public client on this machine", "http://127.0.0.1/cb", oauthclient.Client{}, nil, false},
		{"an app", "com.example.app:/cb", oauthclient.Client{}, nil, false},
		{"a client with a secret", "http://127.0.0.1/cb", secret, nil, true},
		{"prompt consent", "https://app.example/cb", secret, []string{promptConsent}, false},
	} {
		a := authorization{request: request{RedirectURI: tc.uri}, prompts: tc.prompts}
		if got := a.reusesGrant(tc.client); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestAddParameters_KeepsTheRegisteredQuery(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"https://app.example/cb":        "https://app.example/cb?code=a%26b&iss=https%3A%2F%2Fi.example",
		"https://app.example/cb?x=1":    "https://app.example/cb?code=a%26b&iss=https%3A%2F%2Fi.example&x=1",
		"https://app.example/cb?code=x": "https://app.example/cb?code=a%26b&iss=https%3A%2F%2Fi.example",
		"com.example.app:/cb":           "com.example.app:/cb?code=a%26b&iss=https%3A%2F%2Fi.example",
	} {
		got, err := addParameters(uri, map[string]string{"code": "a&b", "state": "", "iss": "https://i.example"})
		if err != nil || got != want {
			t.Errorf("%s became %s, %v", uri, got, err)
		}
	}
}

func TestDisplayOrigin(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"https://app.example:8443/cb?x=1": "https://app.example:8443", "http://127.0.0.1:1/cb": "http://127.0.0.1:1",
		"com.example.app:/cb": "com.example.app:", "/cb": "", "": "", "https://[::1": "",
	} {
		if got := displayOrigin(uri); got != want {
			t.Errorf("%q: %q, want %q", uri, got, want)
		}
	}
}

// Every parameter comes from a link that anyone can write.
func FuzzParseRequest(f *testing.F) {
	f.Add("code", "query", "openid", challenge43, "S256", "login", "60", "state")
	f.Add("token", "", "", "", "plain", "none none", "-1", "")
	f.Add("code", "", "openid openid", challenge43+"\n", "S256", "none", "+1", "\x00")
	f.Add("code", "", "chat.read\u00a0openid", challenge43, "S256", "", "0x1", "a&iss=https://evil.test#")
	f.Fuzz(func(t *testing.T, responseType, mode, scope, challenge, method, prompt, maxAge, state string) {
		client := registeredClient()
		req := validRequest()
		req.ResponseType, req.ResponseMode, req.Scope, req.State = responseType, mode, scope, state
		req.CodeChallenge, req.CodeChallengeMethod, req.Prompt, req.MaxAge = challenge, method, prompt, maxAge
		a, refused := parseRequest(req, client)
		answer, err := addParameters(a.RedirectURI, map[string]string{"state": a.State, "iss": "https://i.example"})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(answer)
		if err != nil || u.Host != "app.example" || u.Fragment != "" || u.Query().Get("state") != state || u.Query().Get("iss") != "https://i.example" {
			t.Fatalf("the state %q made the address %q, %v", state, answer, err)
		}
		if refused != nil {
			return
		}
		if responseType != "code" || method != "S256" || len(a.Challenge) != 43 || len(a.Scopes) == 0 {
			t.Fatalf("accepted as %+v", a)
		}
		for _, s := range a.Scopes {
			if !slices.Contains(client.Scopes, s) {
				t.Fatalf("the scope %q is not registered", s)
			}
		}
		if a.maxAge < 0 && maxAge != "" || a.prompted(promptNone) && len(a.prompts) > 1 {
			t.Fatalf("accepted as %+v", a)
		}
	})
}
