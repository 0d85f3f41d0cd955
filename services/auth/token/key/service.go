package key

import (
	"context"
	"encoding/base64"
	"errors"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Service implements the RPCs of keys.
type Service struct {
	authv1.UnsafeKeyServiceServer

	ring *Ring
}

// NewService returns the service.
func NewService(ring *Ring) (*Service, error) {
	if ring == nil {
		return nil, errors.New("key: every dependency is required")
	}
	return &Service{ring: ring}, nil
}

// GetJwks implements the RPC.
func (s *Service) GetJwks(ctx context.Context, _ *authv1.GetJwksRequest) (*authv1.JsonWebKeySet, error) {
	keys, err := s.ring.Published(ctx)
	if err != nil {
		return nil, err
	}
	out := &authv1.JsonWebKeySet{}
	for _, k := range keys {
		out.Keys = append(out.Keys, &authv1.JsonWebKey{
			Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.Public), Kid: k.KID, Alg: "EdDSA", Use: "sig",
		})
	}
	return out, nil
}
