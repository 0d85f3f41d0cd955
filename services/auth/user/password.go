package user

import (
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
)

const (
	minPassword = 12
	maxPassword = 128
	// minDistinct is how many different characters a password has at least:
	// fewer is a pattern, whatever its length.
	minDistinct = 5
)

// CheckPassword refuses a password that is too short or too long, made of the
// address, or among the first that anybody would try.
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
	if trivial(lower) {
		return fault.Invalid("password", "is too easy to guess")
	}
	return nil
}

// trivial finds repetitions, runs along the alphabet or the keyboard, and common
// words with digits around them.
func trivial(lower string) bool {
	distinct := map[rune]struct{}{}
	for _, r := range lower {
		distinct[r] = struct{}{}
	}
	if len(distinct) < minDistinct {
		return true
	}
	rows := []string{"abcdefghijklmnopqrstuvwxyz", "0123456789012345678901234567890", "1234567890qwertyuiopasdfghjklzxcvbnm", "qwertyuiopasdfghjklzxcvbnm"}
	for _, row := range rows {
		if strings.Contains(row, lower) {
			return true
		}
	}
	words := []string{"password", "passw0rd", "p@ssword", "letmein", "welcome", "qwerty", "qwertyuiop", "iloveyou", "changeme", "administrator", "admin", "secret", "gatehouse", "monkey", "dragon", "football", "baseball", "sunshine", "princess", "trustno1"}
	stripped := strings.Trim(lower, "0123456789!?.,-_*#$ ")
	for _, word := range words {
		if strings.ReplaceAll(stripped, word, "") == "" {
			return true
		}
	}
	return false
}
