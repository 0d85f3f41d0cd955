package rpcclient

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// ServiceSecret returns the secret with which a service proves its identity to auth. It is
// derived from the secret key of the installation, so each service has its own secret and
// none must be configured.
func ServiceSecret(secretKey []byte, service string) (string, error) {
	secret, err := hkdf.Key(sha256.New, secretKey, nil, "gatehouse/service-client/"+service, 32)
	if err != nil {
		return "", fmt.Errorf("derive secret of %s: %w", service, err)
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}
