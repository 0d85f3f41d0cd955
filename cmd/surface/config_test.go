package surface_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// The limits and rules that GetConfig returns are those that the product enforces.
func TestGetConfig_LimitsAndRules_AreEnforced(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_SIGN_UP": "closed"})
	var config struct {
		SignUp  string
		Version string
		Limits  struct{ UploadBytes, BodyBytes string }
	}
	i.Get(t, inprocess.Session{}, "/v1/config", &config)
	var version struct{ Version string }
	i.Get(t, inprocess.Session{}, "/version", &version)
	if config.SignUp != "CLOSED" || config.Version == "" || config.Version != version.Version || config.Limits.UploadBytes != "33554432" {
		t.Errorf("the configuration is %+v, the version %+v", config, version)
	}
	most, err := strconv.Atoi(config.Limits.BodyBytes)
	if err != nil {
		t.Fatal(err)
	}
	const around, mostAnonymous = `{"displayName":""}`, 64 << 10
	operator := i.SignIn(t)
	for _, tc := range []struct {
		caller     inprocess.Session
		path       string
		size, want int
	}{
		{operator, "/v1/assistants", most, http.StatusBadRequest},
		{operator, "/v1/assistants", most + 1, http.StatusRequestEntityTooLarge},
		{inprocess.Session{}, "/v1/auth/sign-up", mostAnonymous, http.StatusBadRequest},
		{inprocess.Session{}, "/v1/auth/sign-up", mostAnonymous + 1, http.StatusRequestEntityTooLarge},
	} {
		body := map[string]string{"displayName": strings.Repeat("a", tc.size-len(around))}
		resp := i.Request(t, tc.caller, http.MethodPost, tc.path, body)
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%d bytes to %s: status %d, want %d", tc.size, tc.path, resp.StatusCode, tc.want)
		}
	}
	resp := i.Request(t, inprocess.Session{}, http.MethodPost, "/v1/auth/sign-up", map[string]string{"email": "ada@example.com", "password": "a rather long pass phrase"})
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a closed sign-up has status %d", resp.StatusCode)
	}
}
