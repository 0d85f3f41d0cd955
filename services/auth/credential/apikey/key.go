package apikey

import (
	"context"

	"github.com/gatehouse/gatehouse/platform/apikey"
	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Holder is the user of a new key.
type Holder struct {
	OrganizationID, UserID string
	// Permissions are those that the key may have.
	Permissions []string
}

// RequireFresh returns the caller of an RPC that returns a secret. It requires a recent
// sign-in, because the secret outlives the session: somebody who finds an unlocked
// device must not get one.
func (s *Service) RequireFresh(ctx context.Context) (*identity.Principal, error) {
	return identity.RequireFresh(ctx, s.deps.Store.clock, identity.MaxAuthAge)
}

// List returns a page of a user's keys.
func (s *Service) List(ctx context.Context, userID string, req paging.Request) (*authv1.ListApiKeysResponse, error) {
	items, next, err := s.deps.Store.list(ctx, userID, req)
	if err != nil {
		return nil, err
	}
	out := &authv1.ListApiKeysResponse{NextPageToken: next}
	for _, k := range items {
		out.ApiKeys = append(out.ApiKeys, encode(k))
	}
	return out, nil
}

// Create creates a key for a holder, in a transaction in the holder's scope.
func (s *Service) Create(ctx context.Context, tx postgres.Tx, holder Holder, described *authv1.ApiKey) (*authv1.ApiKeyWithSecret, error) {
	k, now := decode(described), s.deps.Store.now()
	if err := k.Validate(holder.Permissions, now); err != nil {
		return nil, err
	}
	secret := apikey.New()
	k.ID, k.UserID, k.OrganizationID, k.CreateTime = id.New(), holder.UserID, holder.OrganizationID, now
	k.Prefix = apikey.Hint(secret)
	n, err := s.deps.Store.count(ctx, tx, k.UserID)
	if err != nil {
		return nil, err
	}
	if n >= maxPerUser {
		return nil, fault.New(faultv1.Reason_REASON_CONFLICT, "there are %d API keys: delete one first", n)
	}
	if err := s.deps.Store.insert(ctx, tx, k, apikey.Hash(secret)); err != nil {
		return nil, err
	}
	return &authv1.ApiKeyWithSecret{ApiKey: encode(k), Secret: secret}, s.record(ctx, tx, k, "created")
}

// Rotate replaces the secret of a user's key, in a transaction in the user's scope.
func (s *Service) Rotate(ctx context.Context, tx postgres.Tx, userID, keyID string) (*authv1.ApiKeyWithSecret, error) {
	secret := apikey.New()
	k, err := s.deps.Store.rotate(ctx, tx, userID, keyID, apikey.Hint(secret), apikey.Hash(secret))
	if err != nil {
		return nil, err
	}
	return &authv1.ApiKeyWithSecret{ApiKey: encode(k), Secret: secret}, s.end(ctx, tx, k, "rotated")
}

// Delete deletes a user's key, in a transaction in the user's scope.
func (s *Service) Delete(ctx context.Context, tx postgres.Tx, userID, keyID string) error {
	k, err := s.deps.Store.remove(ctx, tx, userID, keyID)
	if err != nil {
		return err
	}
	return s.end(ctx, tx, k, "deleted")
}

// DeleteAll deletes every key of a user and ends what was opened with them, in a
// transaction in the user's scope.
func (s *Service) DeleteAll(ctx context.Context, tx postgres.Tx, userID string) error {
	removed, err := s.deps.Store.removeAll(ctx, tx, userID)
	if err != nil {
		return err
	}
	for _, k := range removed {
		if err := s.end(ctx, tx, k, "deleted"); err != nil {
			return err
		}
	}
	return nil
}

// sweep deletes the keys that expired longer ago than they are kept. A key stops
// working when it expires.
func (s *Service) sweep(ctx context.Context) error {
	return s.deps.Store.deleteExpired(ctx)
}

// end ends what was opened with a key, and writes the audit row of the organization in
// which the key acts.
func (s *Service) end(ctx context.Context, tx postgres.Tx, k Key, verb string) error {
	if err := s.deps.Revocations.RevokeSession(ctx, tx, k.ID); err != nil {
		return err
	}
	if err := postgres.Enter(ctx, tx, postgres.Scope{OrganizationID: k.OrganizationID, UserID: k.UserID}); err != nil {
		return err
	}
	return s.record(ctx, tx, k, verb)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, k Key, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: k.OrganizationID, Action: "auth.api_key." + verb, ResourceType: "api_key", ResourceID: k.ID,
		Changes: map[string]audit.Change{"scopes": {After: k.Scopes}},
	})
}
