package postgres

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// scramIterations is the default of Postgres. The passwords have 256 random bits, so
// more iterations would not make them harder to guess.
const scramIterations = 4096

// password derives the password of a service's role. So it need not be stored.
func password(secretKey []byte, role Role) (string, error) {
	key, err := derive(secretKey, "gatehouse/postgres/"+string(role), 32)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(key), nil
}

// verifier returns the form in which Postgres stores a password (RFC 5803), so that no
// statement and no log contains the password itself. The salt is derived too: setting
// the same password twice changes nothing, and two concurrent migrations set the same
// value.
func verifier(secretKey []byte, role Role) (string, error) {
	pass, err := password(secretKey, role)
	if err != nil {
		return "", err
	}
	salt, err := derive(secretKey, "gatehouse/postgres-salt/"+string(role), 16)
	if err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, pass, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("postgres: %w", err)
	}
	clientKey := sign(salted, "Client Key")
	storedKey := sha256.Sum256(clientKey)
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations,
		encode(salt), encode(storedKey[:]), encode(sign(salted, "Server Key"))), nil
}

func derive(secretKey []byte, info string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secretKey, nil, info, size)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return key, nil
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
