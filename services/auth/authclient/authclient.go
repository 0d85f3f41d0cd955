// Package authclient is what other processes need of the auth service, by RPC: its public
// keys, service tokens, revocations, erasures, and the owners of API keys.
//
// The packages of platform declare these needs as functions (such as [revocation.Source])
// and know no service. This package implements them for a connection to auth. In auth's own
// process the service implements them directly. Only the programs in cmd import it.
package authclient

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/revocation"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// erasurePage is the number of erasures in a page.
const erasurePage = 100

// Keys returns the source of the public keys that verify auth's tokens: its JWKS (RFC 7517).
func Keys(auth grpc.ClientConnInterface) identity.FetchKeys {
	client := authv1.NewKeyServiceClient(auth)
	return func(ctx context.Context) (map[string]ed25519.PublicKey, error) {
		set, err := client.GetJwks(ctx, &authv1.GetJwksRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return nil, err
		}
		keys := make(map[string]ed25519.PublicKey, len(set.GetKeys()))
		for _, k := range set.GetKeys() {
			raw, err := base64.RawURLEncoding.DecodeString(k.GetX())
			if err != nil || len(raw) != ed25519.PublicKeySize {
				return nil, fmt.Errorf("key %q of the key set is malformed", k.GetKid())
			}
			keys[k.GetKid()] = ed25519.PublicKey(raw)
		}
		return keys, nil
	}
}

// APIKeys returns the source of the owners of API keys.
func APIKeys(auth grpc.ClientConnInterface) apikey.Source {
	client := authv1.NewApiKeyDirectoryServiceClient(auth)
	return func(ctx context.Context, hash [sha256.Size]byte) (apikey.Key, error) {
		k, err := client.ResolveApiKey(ctx, &authv1.ResolveApiKeyRequest{SecretHash: hash[:]})
		if err != nil {
			return apikey.Key{}, err
		}
		return apikey.Key{
			ID: k.GetId(), UserID: k.GetUserId(), OrganizationID: k.GetOrganizationId(), Roles: k.GetRoles(),
			Permissions: k.GetPermissions(), Scopes: k.GetScopes(), ServiceAccount: k.GetServiceAccount(),
		}, nil
	}
}

// Revocations returns the source of revocations.
func Revocations(auth grpc.ClientConnInterface) revocation.Source {
	client := authv1.NewRevocationServiceClient(auth)
	return func(ctx context.Context, since time.Time) ([]revocation.Revocation, error) {
		var out []revocation.Revocation
		req := &authv1.ListRevocationsRequest{SinceTime: timestamppb.New(since), PageSize: revocation.PageSize}
		for {
			page, err := client.ListRevocations(ctx, req)
			if err != nil {
				return nil, err
			}
			for _, r := range page.GetRevocations() {
				out = append(out, revocation.Revocation{
					ID: r.GetId(), SessionID: r.GetSessionId(), UserID: r.GetUserId(), OrganizationID: r.GetOrganizationId(),
					ClientID: r.GetClientId(), Time: r.GetTime().AsTime(),
				})
			}
			if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
				return out, nil
			}
		}
	}
}

// Erasures returns the feed of erased users and organizations. The connection has the
// credential of the calling service.
func Erasures(auth grpc.ClientConnInterface) erasure.Source {
	client := authv1.NewErasureServiceClient(auth)
	return func(ctx context.Context, since time.Time, pageToken string) ([]erasure.Erasure, string, error) {
		page, err := client.ListErasures(ctx, &authv1.ListErasuresRequest{
			SinceTime: timestamppb.New(since), PageSize: erasurePage, PageToken: pageToken,
		})
		if err != nil {
			return nil, "", err
		}
		var out []erasure.Erasure
		for _, e := range page.GetErasures() {
			out = append(out, erasure.Erasure{ID: e.GetId(), UserID: e.GetUserId(), OrganizationID: e.GetOrganizationId(), Time: e.GetTime().AsTime()})
		}
		return out, page.GetNextPageToken(), nil
	}
}
