package apikey

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Remote asks over a connection to auth, which carries this service's credential.
func Remote(auth grpc.ClientConnInterface) Source {
	client := authv1.NewApiKeyDirectoryServiceClient(auth)
	return func(ctx context.Context, hash [sha256.Size]byte) (Key, error) {
		k, err := client.ResolveApiKey(ctx, &authv1.ResolveApiKeyRequest{SecretHash: hash[:]})
		if err != nil {
			return Key{}, err //nolint:wrapcheck // a status, which fault.From understands
		}
		return Key{
			ID: k.GetId(), UserID: k.GetUserId(), OrganizationID: k.GetOrganizationId(), Roles: k.GetRoles(),
			Permissions: k.GetPermissions(), Scopes: k.GetScopes(), ServiceAccount: k.GetServiceAccount(),
		}, nil
	}
}
