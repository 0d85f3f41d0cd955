package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// appleSecretTTL is the lifetime of a client secret for Apple. Each code gets its own.
const appleSecretTTL = 5 * time.Minute

// appleKey reads the private key of a client of Apple.
func appleKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("must be PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("must be PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("must use the curve P-256")
	}
	return key, nil
}

// appleSecret returns the client secret for Apple: a JWT signed with the client's key.
func appleSecret(p Provider, now time.Time) (string, error) {
	key, err := appleKey(p.ClientSecret.Reveal())
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer: p.TeamID, Subject: p.ClientID, Audience: jwt.ClaimStrings{p.Issuer},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(appleSecretTTL)),
	})
	token.Header["kid"] = p.KeyID
	secret, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("federation: apple's client secret: %w", err)
	}
	return secret, nil
}
