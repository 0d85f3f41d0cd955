package key

import (
	"encoding/base64"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns the public half of a key as a JSON Web Key (RFC 8037).
func encode(k Key) *authv1.JsonWebKey {
	return &authv1.JsonWebKey{
		Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.Public), Kid: k.KID, Alg: "EdDSA", Use: "sig",
	}
}
