package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	issuer = "Gatehouse"
	// stepSeconds and skew are those of RFC 6238: a code is accepted one step early or
	// late, because clocks differ.
	stepSeconds = 30
	skew        = 1

	recoveryCodes = 10
	// recoveryBytes is the randomness of a recovery code: enough that its hash cannot
	// be searched.
	recoveryBytes  = 10
	challengeBytes = 32
)

// newSecret creates the secret of an authenticator and its URI.
func newSecret(address string) (secret, uri string, err error) {
	generated, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: address})
	if err != nil {
		return "", "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the secret could not be created")
	}
	return generated.Secret(), generated.URL(), nil
}

// stepOf returns the step around now to which a code belongs, or false when the code is
// wrong.
func stepOf(secret, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / stepSeconds
	for candidate := current - skew; candidate <= current+skew; candidate++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(candidate), //nolint:gosec // after 1970
			hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// normalize removes the characters that users add to a code for readability.
func normalize(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
}

// isTOTP reports whether a code is one of an authenticator. Recovery codes are longer.
func isTOTP(normalized string) bool { return len(normalized) == otp.DigitsSix.Length() }

// newRecoveryCodes creates recovery codes and their hashes.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		raw := make([]byte, recoveryBytes)
		_, _ = rand.Read(raw) // never fails
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
		codes = append(codes, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		hashes = append(hashes, digest(text))
	}
	return codes, hashes
}

// newChallenge creates the id of a challenge and its hash.
func newChallenge() (id string, hash []byte) {
	raw := make([]byte, challengeBytes)
	_, _ = rand.Read(raw) // never fails
	id = base64.RawURLEncoding.EncodeToString(raw)
	return id, digest(id)
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
