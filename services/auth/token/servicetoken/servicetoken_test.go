package servicetoken_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S3, S76: a service token is valid only for the callee that it names.
func TestServiceToken_IsValidForOneService(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	secret, err := rpcclient.ServiceSecret(pgtest.SecretKey(), "gateway")
	authtest.Must(t, err)
	issue := func(client, secret, audience string) (string, error) {
		out, err := b.ServiceTokens.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{
			ClientId: client, ClientSecret: secret, Audience: audience,
		})
		return out.GetAccessToken(), err
	}
	token, err := issue("gateway", secret, "auth")
	authtest.Must(t, err)
	if service, err := b.Verifier.Service(t.Context(), token); err != nil || service.Name != "gateway" {
		t.Errorf("verified as %v, %v", service, err)
	}
	if _, err := b.Verifier.Access(t.Context(), token); err == nil {
		t.Error("a service token passed as an access token")
	}
	other, err := issue("gateway", secret, "chat")
	authtest.Must(t, err)
	if _, err := b.Verifier.Service(t.Context(), other); err == nil {
		t.Error("a token for chat passed at auth")
	}
	for _, c := range [][2]string{{"gateway", secret + "x"}, {"chat", secret}, {"unknown", secret}} {
		_, err := issue(c[0], c[1], "auth")
		authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	}
	_, err = issue("gateway", secret, "elsewhere")
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
}
