package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse/gatehouse/platform/config"
	"github.com/gatehouse/gatehouse/services/auth/federation"
)

// Providers are the identity providers by which anybody may sign in. Each is there
// where its client id is set, and is to be told the redirect URI
// <public URL>/v1/auth/providers/<id>/callback.
type Providers struct {
	// Google's client: sign-in by it, as google.
	GoogleClientID string `env:"GATEHOUSE_GOOGLE_CLIENT_ID"`
	// The secret of Google's client.
	GoogleClientSecret config.Secret `env:"GATEHOUSE_GOOGLE_CLIENT_SECRET"`
	// Microsoft's client: sign-in by it, as microsoft. The addresses that it tells
	// count where its app registration has the optional claim xms_edov; without, its
	// users sign in otherwise first, and link it.
	MicrosoftClientID string `env:"GATEHOUSE_MICROSOFT_CLIENT_ID"`
	// The secret of Microsoft's client.
	MicrosoftClientSecret config.Secret `env:"GATEHOUSE_MICROSOFT_CLIENT_SECRET"`
	// Whom Microsoft signs in: common, organizations, consumers, or a tenant's id.
	MicrosoftTenant string `env:"GATEHOUSE_MICROSOFT_TENANT" envDefault:"common"`
	// GitHub's client, an OAuth app: sign-in by it, as github.
	GitHubClientID string `env:"GATEHOUSE_GITHUB_CLIENT_ID"`
	// The secret of GitHub's client.
	GitHubClientSecret config.Secret `env:"GATEHOUSE_GITHUB_CLIENT_SECRET"`
	// Apple's client, a service id: sign-in by it, as apple.
	AppleClientID string `env:"GATEHOUSE_APPLE_CLIENT_ID"`
	// The team that Apple's key belongs to.
	AppleTeamID string `env:"GATEHOUSE_APPLE_TEAM_ID"`
	// The id of Apple's key.
	AppleKeyID string `env:"GATEHOUSE_APPLE_KEY_ID"`
	// Apple's key, as the .p8 file holds it; it signs the client's secret.
	ApplePrivateKey config.Secret `env:"GATEHOUSE_APPLE_PRIVATE_KEY"`
	// Any other OpenID Connect issuers, as JSON: [{"id": "acme", "displayName": "Acme",
	// "issuer": "https://id.acme.example", "clientId": "…", "clientSecret": "…",
	// "scopes": ["…"]}]. The scopes beside openid, email and profile may be left out, and
	// the secret of a public client.
	OIDC config.Secret `env:"GATEHOUSE_OIDC_PROVIDERS"`
	// Where else than to the gateway programs may have providers send their users back
	// to, comma separated and exactly: https, this machine, or an app's own scheme with a
	// dot in it.
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
		// Its text could show a part of the secrets in it.
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, fmt.Errorf("GATEHOUSE_OIDC_PROVIDERS: %s must not be of type %s", typed.Field, typed.Value)
		}
		return nil, errors.New("GATEHOUSE_OIDC_PROVIDERS: must be a JSON array of objects with id, displayName, issuer, clientId, clientSecret, scopes")
	}
	return out, nil
}

// Validate reports everything that is wrong with the providers.
func (p Providers) Validate() error {
	list, err := p.List()
	return errors.Join(err, federation.Check(list, p.Redirects))
}
