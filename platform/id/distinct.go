package id

import (
	"slices"
	"strings"
)

// Distinct returns the ids in lower case and in their order, without duplicates. The
// result is a new slice and never nil.
func Distinct(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, one := range ids {
		if one = strings.ToLower(one); !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// Without returns the distinct ids that are not among known, in lower case and in their
// order. The result is a new slice and never nil.
func Without(ids, known []string) []string {
	known = Distinct(known)
	return slices.DeleteFunc(Distinct(ids), func(one string) bool { return slices.Contains(known, one) })
}
