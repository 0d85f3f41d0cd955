package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/services/auth/federation"
)

// Providers are the identity providers that every user may sign in with. A provider is
// enabled when its client id is set. The redirect URI to register with it is
// <public URL>/v1/auth/providers/<id>/callback.
type Providers struct {
	// The client id at Google. It enables the provider google.
	GoogleClientID string `env:"GATEHOUSE_GOOGLE_CLIENT_ID"`
	// The client secret at Google.
	GoogleClientSecret config.Secret `env:"GATEHOUSE_GOOGLE_CLIENT_SECRET"`
	// The client id at Microsoft. It enables the provider microsoft. An email address from
	// Microsoft counts as verified only if the app registration has the optional claim
	// xms_edov. Without it, users must sign in another way first, and link Microsoft.
	MicrosoftClientID string `env:"GATEHOUSE_MICROSOFT_CLIENT_ID"`
	// The client secret at Microsoft.
	MicrosoftClientSecret config.Secret `env:"GATEHOUSE_MICROSOFT_CLIENT_SECRET"`
	// The accounts that may sign in with Microsoft: common, organizations, consumers, or the id
	// of a tenant.
	MicrosoftTenant string `env:"GATEHOUSE_MICROSOFT_TENANT" envDefault:"common"`
	// The client id of an OAuth app at GitHub. It enables the provider github.
	GitHubClientID string `env:"GATEHOUSE_GITHUB_CLIENT_ID"`
	// The client secret at GitHub.
	GitHubClientSecret config.Secret `env:"GATEHOUSE_GITHUB_CLIENT_SECRET"`
	// The client id at Apple, which is a service id. It enables the provider apple.
	AppleClientID string `env:"GATEHOUSE_APPLE_CLIENT_ID"`
	// The id of the team that Apple's key belongs to.
	AppleTeamID string `env:"GATEHOUSE_APPLE_TEAM_ID"`
	// The id of Apple's key.
	AppleKeyID string `env:"GATEHOUSE_APPLE_KEY_ID"`
	// Apple's key, the content of the .p8 file. It signs the client secret.
	ApplePrivateKey config.Secret `env:"GATEHOUSE_APPLE_PRIVATE_KEY"`
	// Other OpenID Connect issuers, as JSON: [{"id": "acme", "displayName": "Acme",
	// "issuer": "https://id.acme.example", "clientId": "…", "clientSecret": "…",
	// "scopes": ["…"]}]. The scopes are in addition to openid, email and profile, and
	// optional. A public client has no clientSecret.
	OIDC config.Secret `env:"GATEHOUSE_OIDC_PROVIDERS"`
	// The redirect URIs of programs that sign in with identity providers, exact and
	// comma-separated: https, a loopback address, or a private scheme of an app with a dot in
	// it. The gateway's own redirect URI is always allowed.
	Redirects []string `env:"GATEHOUSE_PROVIDER_REDIRECT_URIS"`
}

// custom is a provider in GATEHOUSE_OIDC_PROVIDERS.
type custom struct {
	ID           string   `json:"id"`
	DisplayName  string   `json:"displayName"`
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret"`
	Scopes       []string `json:"scopes"`
}

// List returns the providers.
func (p Providers) List() ([]federation.Provider, error) {
	var out []federation.Provider
	for _, preset := range []federation.Provider{
		{
			ID: "google", DisplayName: "Google", Kind: federation.OpenID, Issuer: "https://accounts.google.com",
			ClientID: p.GoogleClientID, ClientSecret: p.GoogleClientSecret,
		},
		{
			ID: "microsoft", DisplayName: "Microsoft", Kind: federation.Microsoft,
			Issuer:   "https://login.microsoftonline.com/" + p.MicrosoftTenant + "/v2.0",
			ClientID: p.MicrosoftClientID, ClientSecret: p.MicrosoftClientSecret,
		},
		{
			ID: "github", DisplayName: "GitHub", Kind: federation.GitHub, Issuer: "https://github.com", API: "https://api.github.com",
			ClientID: p.GitHubClientID, ClientSecret: p.GitHubClientSecret,
		},
		{
			ID: "apple", DisplayName: "Apple", Kind: federation.Apple, Issuer: "https://appleid.apple.com",
			ClientID: p.AppleClientID, ClientSecret: p.ApplePrivateKey, TeamID: p.AppleTeamID, KeyID: p.AppleKeyID,
		},
	} {
		if preset.ClientID != "" || preset.ClientSecret.IsSet() {
			out = append(out, preset)
		}
	}
	more, err := p.custom()
	for _, c := range more {
		if c.DisplayName == "" {
			c.DisplayName = c.ID
		}
		out = append(out, federation.Provider{
			ID: c.ID, DisplayName: c.DisplayName, Kind: federation.OpenID, Issuer: c.Issuer,
			ClientID: c.ClientID, ClientSecret: config.NewSecret(c.ClientSecret), Scopes: c.Scopes,
		})
	}
	return out, err
}

func (p Providers) custom() ([]custom, error) {
	if !p.OIDC.IsSet() {
		return nil, nil
	}
	var out []custom
	decoder := json.NewDecoder(bytes.NewReader([]byte(p.OIDC.Reveal())))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&out); err != nil {
		// The text of the error could contain a part of the secrets.
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, fmt.Errorf("GATEHOUSE_OIDC_PROVIDERS: %s must not be of type %s", typed.Field, typed.Value)
		}
		return nil, errors.New("GATEHOUSE_OIDC_PROVIDERS: must be a JSON array of objects with id, displayName, issuer, clientId, clientSecret, scopes")
	}
	return out, nil
}

// Validate returns every problem of the providers.
func (p Providers) Validate() error {
	list, err := p.List()
	return errors.Join(err, federation.Check(list, p.Redirects))
}
