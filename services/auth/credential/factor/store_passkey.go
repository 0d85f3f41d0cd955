package factor

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// list declares how passkeys are ordered.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "passkeys",
	ID:           "id",
	Fields:       map[string]paging.Field{"createTime": {Column: "created_at", Type: paging.Time, Order: true}},
	DefaultOrder: "createTime",
}

// listPasskeys returns a page of a user's passkeys.
func (s *Store) listPasskeys(ctx context.Context, userID string, req paging.Request) ([]passkey, string, error) {
	return paging.Read(ctx, s.db, postgres.Scope{UserID: userID}, paging.Query[passkey]{
		List: list, Tokens: s.tokens, Request: req,
		SQL: `SELECT id::text, display_name, (record -> 'flags' ->> 'backupEligible')::boolean, created_at, last_used_at
			FROM passkeys WHERE user_id = $1`,
		Args: []any{userID},
		Scan: func(row pgx.CollectableRow) (passkey, error) {
			var k passkey
			err := row.Scan(&k.id, &k.displayName, &k.synced, &k.created, &k.lastUsed)
			return k, err
		},
		Value: func(k passkey, field string) any {
			if field == "createTime" {
				return k.created
			}
			return k.id
		},
	})
}

const passkeyColumns = "SELECT record::text, sign_count FROM passkeys WHERE user_id = $1 ORDER BY created_at, id"

func scanPasskey(row pgx.CollectableRow) (webauthn.Credential, error) {
	var key webauthn.Credential
	var record string
	var count int64
	if err := row.Scan(&record, &count); err != nil {
		return key, err
	}
	err := json.Unmarshal([]byte(record), &key)
	key.Authenticator.SignCount = uint32(count) //nolint:gosec // it was one
	return key, err
}

// passkeys returns a user's passkeys as WebAuthn credentials.
func (s *Store) passkeys(ctx context.Context, tx pgx.Tx, userID string) ([]webauthn.Credential, error) {
	return postgres.TxAll(ctx, tx, scanPasskey, passkeyColumns, userID)
}

// challengeUser returns the user of a challenge, with the user's passkeys. There are
// none when the challenge has expired.
func (s *Store) challengeUser(ctx context.Context, hash []byte, now time.Time) (userID string, keys []webauthn.Credential, err error) {
	userID, err = postgres.QueryOne(ctx, s.db, postgres.Scope{}, pgx.RowTo[string], "SELECT factor_challenge_user($1, $2)::text", hash, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	keys, err = postgres.QueryAll(ctx, s.db, postgres.Scope{UserID: userID}, scanPasskey, passkeyColumns, userID)
	return userID, keys, err
}

func (s *Store) insertPasskey(ctx context.Context, tx pgx.Tx, userID, rpID string, k passkey, key *webauthn.Credential) error {
	record, err := postgres.JSON(key)
	if err != nil {
		return err
	}
	_, err = postgres.TxExec(ctx, tx, `INSERT INTO passkeys
		(id, user_id, credential_id, rp_id, record, sign_count, display_name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.id, userID, key.ID, rpID, record, int64(key.Authenticator.SignCount), k.displayName, k.created)
	if name, ok := postgres.ViolatedConstraint(err); ok && name == "passkeys_credential" {
		return fault.New(faultv1.Reason_REASON_ALREADY_EXISTS, "this passkey is registered")
	}
	return err
}

// usePasskey stores the state of a passkey after a signature. It returns false when the
// signature count did not grow. Devices that do not count send zero.
func (s *Store) usePasskey(ctx context.Context, tx pgx.Tx, key *webauthn.Credential, now time.Time) (bool, error) {
	record, err := postgres.JSON(key)
	if err != nil {
		return false, err
	}
	n, err := postgres.TxExec(ctx, tx, `UPDATE passkeys SET record = $2, sign_count = $3, last_used_at = $4
		WHERE credential_id = $1 AND (sign_count < $3 OR (sign_count = 0 AND $3 = 0))`,
		key.ID, record, int64(key.Authenticator.SignCount), now)
	return n == 1, err
}

// deletePasskey deletes a passkey of a user. It returns false when there was none.
func (s *Store) deletePasskey(ctx context.Context, tx pgx.Tx, userID, id string) (bool, error) {
	n, err := postgres.TxExec(ctx, tx, "DELETE FROM passkeys WHERE user_id = $1 AND id = $2", userID, id)
	return n == 1, err
}

// signsIn reports whether a user has any credential to sign in: a password, a passkey,
// or an identity at a provider. The transaction has locked the user.
func (s *Store) signsIn(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	return postgres.TxOne(ctx, tx, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM users WHERE id = $1 AND password_hash <> '')
		OR EXISTS (SELECT FROM passkeys WHERE user_id = $1) OR EXISTS (SELECT FROM identities WHERE user_id = $1)`, userID)
}

func (s *Store) insertCeremony(ctx context.Context, hash []byte, c ceremony, expires time.Time) error {
	_, err := postgres.Exec(ctx, s.db, postgres.Scope{}, `INSERT INTO passkey_ceremonies
		(token_hash, purpose, challenge_hash, state, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		hash, c.purpose, c.challengeHash, c.state, expires)
	return err
}

// takeCeremony deletes a ceremony and returns it. It returns false when the ceremony
// has expired or had another purpose.
func (s *Store) takeCeremony(ctx context.Context, tx pgx.Tx, hash []byte, purposes []string, now time.Time) (ceremony, bool, error) {
	c, err := postgres.TxOne(ctx, tx, func(row pgx.CollectableRow) (ceremony, error) {
		var c ceremony
		err := row.Scan(&c.purpose, &c.challengeHash, &c.state)
		return c, err
	}, `DELETE FROM passkey_ceremonies WHERE token_hash = $1 AND purpose = ANY ($2::text[]) AND expires_at > $3
		RETURNING purpose, challenge_hash, state::text`, hash, purposes, now)
	if errors.Is(err, postgres.ErrNoRows) {
		return c, false, nil
	}
	return c, err == nil, err
}
