package user

import (
	"strings"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"

	"github.com/gatehouse/gatehouse/platform/fault"
)

const (
	minPassword = 12
	maxPassword = 128
	// minDistinct is the least number of different characters in a password. A password
	// with fewer is a pattern, whatever its length.
	minDistinct = 5
	// minScore is the least score of the estimator, from 0 to 4. A password that lists
	// and rules find among the first guesses has the score 0.
	minScore = 1
	// maxEstimated is the number of characters that are estimated.
	maxEstimated = 64
)

// CheckPassword refuses a password that is too short or too long, consists of the
// address, or is among the first that anyone would try. It does not require digits or
// capitals (NIST SP 800-63B section 5.1.1.2).
func CheckPassword(password, address string) error {
	length := utf8.RuneCountInString(password)
	if length < minPassword || length > maxPassword {
		return fault.Invalid("password", "must have %d to %d characters", minPassword, maxPassword)
	}
	lower := NormalizeEmail(password)
	normalized := NormalizeEmail(address)
	local, _, _ := strings.Cut(normalized, "@")
	if lower == normalized || (utf8.RuneCountInString(local) >= 4 && strings.ReplaceAll(lower, local, "") == "") {
		return fault.Invalid("password", "must not consist of the address")
	}
	if trivial(password, address) {
		return fault.Invalid("password", "is too easy to guess")
	}
	return nil
}

// trivial reports whether few guesses find a password. It tries the usual passwords and
// words with the usual changes and additions, dates, repetitions and keyboard patterns.
// The estimator is a port of zxcvbn (Wheeler, USENIX Security 2016), to which the
// caller adds the words of this product and this user.
func trivial(password, address string) bool {
	runes := []rune(password)
	distinct := map[rune]struct{}{}
	for _, r := range runes {
		distinct[r] = struct{}{}
	}
	if len(distinct) < minDistinct {
		return true
	}
	own := append(strings.FieldsFunc(NormalizeEmail(address), func(r rune) bool {
		return strings.ContainsRune("@.-_+", r)
	}), "gatehouse")
	// The work grows with the square of the length. A longer password is strong, or its
	// first characters show its weakness.
	return zxcvbn.PasswordStrength(string(runes[:min(len(runes), maxEstimated)]), own).Score < minScore
}
