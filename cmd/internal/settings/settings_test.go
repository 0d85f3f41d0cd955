package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/settings"
)

func TestLoad_LocalWithoutSettings_Succeeds(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicURL != "http://127.0.0.1:8080" || s.Model != "local/extractive" {
		t.Errorf("public URL %s, model %s", s.PublicURL, s.Model)
	}
}

func TestS79ProductionReportsEveryUnsafeSetting(t *testing.T) {
	t.Parallel()
	_, err := settings.Load(map[string]string{
		"GATEHOUSE_ENV":                   "production",
		"GATEHOUSE_DATABASE_URL":          "postgres://u:p@db.example.com/gatehouse",
		"GATEHOUSE_RATE_LIMITS":           "off",
		"GATEHOUSE_PASSWORD_WAIT":         "21s",
		"GATEHOUSE_INVITATIONS_PER_DAY":   "0",
		"GATEHOUSE_RUNS_PER_USER":         "-1",
		"GATEHOUSE_RUNS_PER_ORGANIZATION": "-1",
		"GATEHOUSE_CORS_ORIGINS":          "https://app.example.com,*",
	})
	for _, want := range []string{
		"GATEHOUSE_DATABASE_URL", "GATEHOUSE_SECRET_KEY", "GATEHOUSE_ADMIN_PASSWORD", "GATEHOUSE_RATE_LIMITS",
		"GATEHOUSE_PUBLIC_URL", "GATEHOUSE_CORS_ORIGINS", "GATEHOUSE_PASSWORD_WAIT", "GATEHOUSE_INVITATIONS_PER_DAY",
		"GATEHOUSE_RUNS_PER_USER", "GATEHOUSE_RUNS_PER_ORGANIZATION",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "u:p@") {
		t.Error("the error shows a password")
	}
}

func TestS94ProductionRefusesPlaintextDatabases(t *testing.T) {
	t.Parallel()
	reported := map[string]string{ // by the variable that is set
		"GATEHOUSE_DATABASE_URL":        "GATEHOUSE_DATABASE_URL",
		"DATABASE_URL":                  "GATEHOUSE_DATABASE_URL",
		"GATEHOUSE_DATABASE_DIRECT_URL": "GATEHOUSE_DATABASE_DIRECT_URL",
	}
	for variable, name := range reported {
		for value, problem := range map[string]string{
			"host=db.example.com user=u password=hunter2 sslmode=disable": ": may reach another host without TLS",
			"postgres://u:hunter2@db.example.com/g":                       ": may reach another host without TLS",
			"postgres://u:hunter2@db:port/g":                              ": cannot be read",
		} {
			_, err := settings.Load(map[string]string{"GATEHOUSE_ENV": "production", variable: value})
			if err == nil || !strings.Contains(err.Error(), name+problem) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s=%s: %v, want %s%s", variable, value, err, name, problem)
			}
		}
		_, err := settings.Load(map[string]string{"GATEHOUSE_ENV": "production", variable: "host=db.example.com user=u sslmode=verify-full"})
		if err == nil || strings.Contains(err.Error(), name+": may") {
			t.Errorf("%s with TLS: %v", variable, err)
		}
	}
}

func TestKey_Unset_IsCreatedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "created with the key")
	s, err := settings.Load(map[string]string{"GATEHOUSE_DATA_DIR": dir})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Key()
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Key()
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 32 || string(first) != string(second) {
		t.Error("the second call returned another key")
	}
	info, err := os.Stat(dir + "/secret.key")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file has mode %v", info.Mode().Perm())
	}
}

func TestLoad_MalformedKey_IsRejected(t *testing.T) {
	t.Parallel()
	if _, err := settings.Load(map[string]string{"GATEHOUSE_SECRET_KEY": "c2hvcnQ="}); err == nil {
		t.Error("a short key was accepted")
	}
}

// Emails contain links and codes that sign in, so only local stores them in files.
func TestMessages_Outbox_IsOnlyInLocal(t *testing.T) {
	t.Parallel()
	local, err := settings.Load(map[string]string{"GATEHOUSE_DATA_DIR": "here"})
	if err != nil {
		t.Fatal(err)
	}
	if got := local.Messages(); got.Outbox != filepath.Join("here", "outbox") || local.ConfirmsAddresses() {
		t.Errorf("local: %+v, confirms %t", got, local.ConfirmsAddresses())
	}
	production := map[string]string{
		"GATEHOUSE_ENV": "production", "GATEHOUSE_DATABASE_URL": "postgres://u:p@localhost/gatehouse",
		"GATEHOUSE_SECRET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "GATEHOUSE_ADMIN_PASSWORD": "correct horse battery staple",
		"GATEHOUSE_PUBLIC_URL": "https://gatehouse.example",
	}
	server, err := settings.Load(production)
	if err != nil {
		t.Fatal(err)
	}
	if got := server.Messages(); got.Outbox != "" || got.From != "Gatehouse <no-reply@gatehouse.example>" || !server.ConfirmsAddresses() {
		t.Errorf("production: %+v, confirms %t", got, server.ConfirmsAddresses())
	}
	production["GATEHOUSE_VERIFIED_EMAIL"], production["GATEHOUSE_SMTP_URL"] = "sometimes", "mail.example.com"
	production["GATEHOUSE_SIGN_UP"] = "ajar"
	_, err = settings.Load(production)
	for _, want := range []string{"GATEHOUSE_VERIFIED_EMAIL", "GATEHOUSE_SIGN_UP", "SMTP URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// S74: an error about a provider does not contain its secret.
func TestS74ProvidersAreReadFromSettings(t *testing.T) {
	t.Parallel()
	s, err := settings.Load(map[string]string{
		"GATEHOUSE_GOOGLE_CLIENT_ID": "g", "GATEHOUSE_GOOGLE_CLIENT_SECRET": "hunter2",
		"GATEHOUSE_MICROSOFT_CLIENT_ID": "m", "GATEHOUSE_MICROSOFT_TENANT": "organizations",
		"GATEHOUSE_OIDC_PROVIDERS":         `[{"id": "acme", "issuer": "https://id.acme.example", "clientId": "a", "scopes": ["groups"]}]`,
		"GATEHOUSE_PROVIDER_REDIRECT_URIS": "org.example.app:/back,http://127.0.0.1/back",
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Providers.List()
	if err != nil || len(list) != 3 || list[0].ID != "google" || list[0].ClientSecret.Reveal() != "hunter2" ||
		list[1].Issuer != "https://login.microsoftonline.com/organizations/v2.0" || list[2].DisplayName != "acme" || list[2].Scopes[0] != "groups" {
		t.Errorf("%v %+v", err, list)
	}
	_, err = settings.Load(map[string]string{
		"GATEHOUSE_GITHUB_CLIENT_ID": "g", "GATEHOUSE_APPLE_CLIENT_ID": "a", "GATEHOUSE_APPLE_PRIVATE_KEY": "hunter2",
		"GATEHOUSE_OIDC_PROVIDERS": `[{"id": "acme", "clientSecret": "hunter2", "redirect": "x"}]`, "GATEHOUSE_PROVIDER_REDIRECT_URIS": "http://evil.example",
		"GATEHOUSE_EGRESS_ALLOW": "10.0.0.0/8,here",
	})
	for _, want := range []string{`GATEHOUSE_EGRESS_ALLOW: "here"`, `"github": the client secret`, `"apple": the team`, `"apple": the private key`, "GATEHOUSE_OIDC_PROVIDERS", "evil.example"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows a secret: %v", err)
	}
}
