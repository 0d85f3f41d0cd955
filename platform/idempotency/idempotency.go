// Package idempotency stores the responses to requests with an Idempotency-Key. A client
// that did not receive the response can send the request again, and it is not executed
// twice.
//
// The key, the response and all writes of the request are in one transaction
// ([postgres.DB.Together]). So a response is stored exactly when the writes are committed,
// even if the process dies. When several requests with the same key arrive at the same
// time, one is executed; the others wait and get its response. The response of a failed
// request is not stored, so the client may retry with the same key.
//
// Keys belong to a user in an organization and to an RPC. They are kept for
// [Lifetime]; [Keys.Sweep] deletes older keys.
//
// The header is defined in the IETF draft draft-ietf-httpapi-idempotency-key-header.
package idempotency

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// Lifetime is how long a key is stored.
	Lifetime = 24 * time.Hour
)

// errTaken means that another request has already used the key.
var errTaken = errors.New("idempotency: the key is used")

// Keys stores the responses of one service.
type Keys struct {
	db     *postgres.DB
	clock  clock.Clock
	secret []byte
}

// New returns the keys in a service's database. The hashes of requests are keyed with the
// installation's secret key, so that nobody can guess the content of a request from them:
// a request may contain a password.
func New(db *postgres.DB, secretKey []byte, clk clock.Clock) (*Keys, error) {
	secret, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/idempotency", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	return &Keys{db: db, clock: clk, secret: secret}, nil
}

// hash returns the hash of a request that is stored.
func (k *Keys) hash(r rpcserver.Keyed) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(r.Digest)
	return mac.Sum(nil)
}

// Once implements [rpcserver.Replayer].
func (k *Keys) Once(ctx context.Context, r rpcserver.Keyed, answer proto.Message, do func(context.Context) (proto.Message, error),
) (out proto.Message, replayed bool, err error) {
	if found, err := k.find(ctx, r, answer); found || err != nil {
		return answer, found, err
	}
	err = k.db.Together(ctx, scope(r), func(ctx context.Context, tx pgx.Tx) error {
		if err := k.take(ctx, tx, r); err != nil {
			return err
		}
		var err error
		if out, err = do(ctx); err != nil {
			return err
		}
		return k.keep(ctx, tx, r, out)
	})
	if errors.Is(err, errTaken) {
		_, err = k.find(ctx, r, answer)
		return answer, true, err
	}
	if err != nil {
		return nil, false, err
	}
	return out, false, nil
}

func scope(r rpcserver.Keyed) postgres.Scope {
	return postgres.Scope{OrganizationID: r.OrganizationID, UserID: r.UserID}
}

type row struct {
	RequestHash []byte
	Answer      []byte
}

// find reads the stored response of the key into answer.
func (k *Keys) find(ctx context.Context, r rpcserver.Keyed, answer proto.Message) (bool, error) {
	before, err := postgres.QueryOne(ctx, k.db, scope(r), pgx.RowToStructByPos[row], `
		SELECT request_hash, answer FROM gatehouse.idempotency_keys
		WHERE organization_id = $1 AND user_id = $2 AND method = $3 AND key = $4 AND created_at > $5`,
		r.OrganizationID, r.UserID, r.Method, r.Key, k.clock.Now().Add(-Lifetime))
	switch {
	case errors.Is(err, postgres.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case !hmac.Equal(before.RequestHash, k.hash(r)):
		return false, fault.New(faultv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the idempotency key was used for another request")
	}
	if err := proto.Unmarshal(before.Answer, answer); err != nil {
		return false, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a stored response cannot be read")
	}
	return true, nil
}

// take inserts the key. It waits for another request that is inserting the same key. An
// expired key counts as new.
func (k *Keys) take(ctx context.Context, tx pgx.Tx, r rpcserver.Keyed) error {
	now := k.clock.Now()
	taken, err := postgres.TxExec(ctx, tx, `
		INSERT INTO gatehouse.idempotency_keys AS k (organization_id, user_id, method, key, request_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (organization_id, user_id, method, key) DO UPDATE
		SET request_hash = excluded.request_hash, answer = '', created_at = excluded.created_at WHERE k.created_at <= $7`,
		r.OrganizationID, r.UserID, r.Method, r.Key, k.hash(r), now, now.Add(-Lifetime))
	if err == nil && taken == 0 {
		return errTaken
	}
	return err
}

// keep stores the response.
func (k *Keys) keep(ctx context.Context, tx pgx.Tx, r rpcserver.Keyed, answer proto.Message) error {
	raw, err := proto.Marshal(answer)
	if err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "a response cannot be stored")
	}
	if raw == nil {
		raw = []byte{} // an empty response is not NULL
	}
	_, err = postgres.TxExec(ctx, tx, `UPDATE gatehouse.idempotency_keys SET answer = $5
		WHERE organization_id = $1 AND user_id = $2 AND method = $3 AND key = $4`,
		r.OrganizationID, r.UserID, r.Method, r.Key, raw)
	return err
}

// Sweep deletes the expired keys of all organizations, and returns their number.
func (k *Keys) Sweep(ctx context.Context) (deleted int64, err error) {
	return postgres.Sweep(ctx, k.db, "gatehouse.delete_idempotency_keys", k.clock.Now().Add(-Lifetime))
}
