package authtest

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// AsService returns a context that calls as chat does, with a token for a callee.
func (b *Bundle) AsService(t *testing.T, audience string) context.Context {
	t.Helper()
	secret, err := rpcclient.ServiceSecret(pgtest.SecretKey(), "chat")
	Must(t, err)
	token, err := b.ServiceTokens.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{ClientId: "chat", ClientSecret: secret, Audience: audience})
	Must(t, err)
	return metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataServiceToken, token.GetAccessToken())
}

func (b *Bundle) CreatePublishableKey(ctx context.Context, origins ...string) (*authv1.PublishableKey, error) {
	return b.PublishableKeys.CreatePublishableKey(ctx, &authv1.CreatePublishableKeyRequest{
		PublishableKey: &authv1.PublishableKey{DisplayName: " Site ", Origins: origins},
	})
}

func (b *Bundle) UpdatePublishableKey(ctx context.Context, k *authv1.PublishableKey, mask ...string) (*authv1.PublishableKey, error) {
	return b.PublishableKeys.UpdatePublishableKey(ctx, &authv1.UpdatePublishableKeyRequest{
		PublishableKey: k, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
	})
}
