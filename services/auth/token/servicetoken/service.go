package servicetoken

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcclient"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

// Deps is what the room needs.
type Deps struct {
	Keys   *key.Ring
	Issuer string
	// SecretKey is the installation's secret of 32 bytes.
	SecretKey []byte
	Clock     clock.Clock
}

// Service implements the RPC of service tokens.
type Service struct {
	authv1.UnsafeServiceTokenServiceServer

	deps Deps
	// secrets has the digest of each service's secret, by the name of the service.
	secrets map[string][sha256.Size]byte
	// unknown stands for the secret of a service that does not exist. No secret matches it.
	unknown [sha256.Size]byte
}

// New builds the room. It derives the secret of every service.
func New(d Deps) (*Service, error) {
	if err := deps.Check("servicetoken", d); err != nil {
		return nil, err
	}
	s := &Service{deps: d, secrets: map[string][sha256.Size]byte{}}
	for _, client := range []string{"gateway", "management", "chat"} {
		secret, err := rpcclient.ServiceSecret(d.SecretKey, client)
		if err != nil {
			return nil, err
		}
		s.secrets[client] = sha256.Sum256([]byte(secret))
	}
	return s, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	authv1.RegisterServiceTokenServiceServer(server, s)
}

// Tables returns no table: the room owns none.
func (s *Service) Tables() []room.Table { return nil }

// IssueServiceToken implements the RPC.
func (s *Service) IssueServiceToken(ctx context.Context, req *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	want, known := s.secrets[req.GetClientId()]
	if !known {
		want = s.unknown
	}
	// Digests are compared, so that the time does not reveal the length either.
	given := sha256.Sum256([]byte(req.GetClientSecret()))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 || !known {
		return nil, identity.Unauthenticated()
	}
	if !slices.Contains([]string{"auth", "management", "chat"}, req.GetAudience()) {
		return nil, fault.Invalid("audience", "must be auth, management or chat")
	}
	signing, err := s.deps.Keys.Signing(ctx)
	if err != nil {
		return nil, err
	}
	now := s.deps.Clock.Now()
	token, err := identity.SignService(signing, identity.ServiceClaims{
		Issuer: s.deps.Issuer, Service: req.GetClientId(), Audience: req.GetAudience(), IssuedAt: now, ExpiresAt: now.Add(TTL),
	})
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the token could not be signed")
	}
	return &authv1.IssueServiceTokenResponse{AccessToken: token, ExpiresIn: int32(TTL.Seconds())}, nil
}
