// Package keystub is a software device with a passkey, for tests. It responds as a
// browser does, and can be made to respond wrongly, as no real device can.
package keystub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Flags of the authenticator's data (WebAuthn section 6.1).
const (
	userPresent    = 0x01
	userVerified   = 0x04
	backupEligible = 0x08
	backedUp       = 0x10
	attested       = 0x40
)

// Key is a passkey on its device. Its fields may be changed between responses.
type Key struct {
	// Origin is the origin of the page on which the device is used.
	Origin string
	// RPID is the relying party for which the device responds. When it is empty, the
	// device uses the one in the request.
	RPID string
	// Verified reports whether the device verifies its user.
	Verified bool
	// Synced reports whether the key is copied to other devices.
	Synced bool
	// Count is the number of signatures. It stays zero for a device that does not
	// count.
	Count uint32
	// UserHandle is the user of the key.
	UserHandle []byte

	id      []byte
	private *ecdsa.PrivateKey
}

// New returns a device that is used at an origin, verifies its user, and counts.
func New(origin string) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("keystub: %w", err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return &Key{Origin: origin, Verified: true, Count: 1, id: id, private: private}, nil
}

// options are the fields of a request that the device reads.
type options struct {
	Challenge string
	RPID      string `json:"rpId"`
	RP        struct{ ID string }
	User      struct{ ID string }
}

func read(publicKey map[string]any) (options, error) {
	var o options
	raw, err := json.Marshal(publicKey)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		return o, fmt.Errorf("keystub: %w", err)
	}
	if o.RPID == "" {
		o.RPID = o.RP.ID
	}
	return o, nil
}

// Register returns the response to creation options: the credential in JSON.
func (k *Key) Register(publicKey map[string]any) (map[string]any, error) {
	o, err := read(publicKey)
	if err != nil {
		return nil, err
	}
	if k.UserHandle, err = base64.RawURLEncoding.DecodeString(o.User.ID); err != nil {
		return nil, fmt.Errorf("keystub: %w", err)
	}
	public, err := k.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, fmt.Errorf("keystub: %w", err)
	}
	data := k.data(o, attested)
	data = append(data, make([]byte, 16)...)                      // the model of the device: unknown
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.id))) //nolint:gosec // 32
	data = append(data, k.id...)
	// {1: 2, 3: -7, -1: 1, -2: x, -3: y}
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20)
	data = append(data, public[1:33]...)
	data = append(data, 0x22, 0x58, 0x20)
	data = append(data, public[33:]...)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := []byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59")
	object = binary.BigEndian.AppendUint16(object, uint16(len(data))) //nolint:gosec // far shorter
	object = append(object, data...)
	return k.credential(map[string]any{
		"clientDataJSON": text(k.clientData("webauthn.create", o)), "attestationObject": text(object), "transports": []any{"internal"},
	}), nil
}

// Sign returns the response to request options.
func (k *Key) Sign(publicKey map[string]any) (map[string]any, error) {
	o, err := read(publicKey)
	if err != nil {
		return nil, err
	}
	if k.Count > 0 {
		k.Count++
	}
	data, client := k.data(o, 0), k.clientData("webauthn.get", o)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, fmt.Errorf("keystub: %w", err)
	}
	return k.credential(map[string]any{
		"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature), "userHandle": text(k.UserHandle),
	}), nil
}

func (k *Key) credential(response map[string]any) map[string]any {
	return map[string]any{
		"id": text(k.id), "rawId": text(k.id), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response,
	}
}

// data returns the authenticator data up to the attested credential.
func (k *Key) data(o options, flags byte) []byte {
	rpID := o.RPID
	if k.RPID != "" {
		rpID = k.RPID
	}
	flags |= userPresent
	if k.Verified {
		flags |= userVerified
	}
	if k.Synced {
		flags |= backupEligible | backedUp
	}
	hash := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), k.Count)
}

func (k *Key) clientData(kind string, o options) []byte {
	return fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":false}`, kind, o.Challenge, k.Origin)
}

func text(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
