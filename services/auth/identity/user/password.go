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
	// minDistinct is how many different characters a password has at least:
	// fewer is a pattern, whatever its length.
	minDistinct = 5
	// minScore is the least score of the estimator, from 0 to 4. What lists and
	// rules find among their first guesses scores 0.
	minScore = 1
	// maxEstimated is how many characters are estimated.
	maxEstimated = 64
)

// CheckPassword refuses a password that is too short or too long, made of the
// address, or among the first that anybody would try. What it is made
// of (digits, capitals) is not asked (NIST SP 800-63B section 5.1.1.2).
func CheckPassword(password, address string) error {
	length := utf8.RuneCountInString(password)
	if length < minPassword || length > maxPassword {
		return fault.Invalid("password", "must have %d to %d characters", minPassword, maxPassword)
	}
	lower := NormalizeEmail(password)
	normalized := NormalizeEmail(address)
	local, _, _ := strings.Cut(normalized, "@")
	if lower == normalized || (utf8.RuneCountInString(local) >= 4 && strings.ReplaceAll(lower, local, "") == "") {
		return fault.Invalid("password", "must not be made of the address")
	}
	if trivial(password, address) {
		return fault.Invalid("password", "is too easy to guess")
	}
	return nil
}

// trivial tells whether few guesses find a password. What is guessed are the
// usual passwords and words, with the usual changes and additions, dates,
// repetitions and ways over the keyboard: a port of zxcvbn (Wheeler, USENIX
// Security 2016), which knows nothing of this product and this person by itself.
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
	// Its work grows with the square of the length, and what is longer is strong or
	// shows its weakness before.
	return zxcvbn.PasswordStrength(string(runes[:min(len(runes), maxEstimated)]), own).Score < minScore
}
