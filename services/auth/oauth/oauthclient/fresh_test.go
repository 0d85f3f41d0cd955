package oauthclient_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/identity"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S18: a session that was left open cannot send a client's codes to another address.
func TestS18ChangingClientNeedsRecentSignIn(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(clock.System().Now().Add(-8 * time.Minute))
	b := authtest.SetupWith(t, clk, auth.Config{})
	tokens, _ := b.SignUp(t, "ada@example.org")
	ctx, clients := authtest.With(t.Context(), tokens), authv1.NewOAuthClientServiceClient(b.Conn)
	ceremony := &authv1.OAuthClient{
		DisplayName: "Reader", Confidential: true, Scopes: []string{"openid"}, RedirectUris: []string{"https://app.example/"},
	}
	created, err := clients.CreateOAuthClient(ctx, &authv1.CreateOAuthClientRequest{OauthClient: ceremony})
	authtest.Must(t, err)
	clientID := created.GetOauthClient().GetId()
	move := func(ctx context.Context, uri string) error {
		_, err := clients.UpdateOAuthClient(ctx, &authv1.UpdateOAuthClientRequest{
			OauthClient: &authv1.OAuthClient{Id: clientID, RedirectUris: []string{uri}},
			UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"redirect_uris"}},
		})
		return err
	}
	authtest.Must(t, move(ctx, "https://new.example/"))
	clk.Advance(identity.MaxAuthAge + time.Second)
	authtest.WantReason(t, move(ctx, "https://evil.example/"), faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = clients.CreateOAuthClient(ctx, &authv1.CreateOAuthClientRequest{OauthClient: ceremony})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	_, err = clients.RotateOAuthClientSecret(ctx, &authv1.RotateOAuthClientSecretRequest{Id: clientID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_STEP_UP_REQUIRED)
	stored, err := clients.GetOAuthClient(ctx, &authv1.GetOAuthClientRequest{Id: clientID})
	authtest.Must(t, err)
	if uris := stored.GetRedirectUris(); len(uris) != 1 || uris[0] != "https://new.example/" {
		t.Errorf("codes are sent to %v", uris)
	}
	stepped, err := b.Sessions.StepUp(ctx, authtest.StepUpPassword(authtest.Password))
	authtest.Must(t, err)
	authtest.Must(t, move(authtest.With(t.Context(), stepped), "https://newer.example/"))
	// Deleting a client needs only a session.
	_, err = clients.DeleteOAuthClient(ctx, &authv1.DeleteOAuthClientRequest{Id: clientID})
	authtest.Must(t, err)
	// The audit trail names the fields as the API does.
	if got := authtest.AdminText(t, b, "SELECT string_agg(DISTINCT field, ' ') FROM audit.events, jsonb_object_keys(changes) AS field WHERE resource_id = $1",
		clientID); got != "redirectUris" {
		t.Errorf("the audit trail has %q", got)
	}
}
