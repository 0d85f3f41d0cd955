package authtest

import (
	"testing"
)

// WrongCodeMail returns how many letters about wrong codes were sent or queued in this hour.
func (h *FactorUser) WrongCodeMail(t *testing.T) string {
	t.Helper()
	return AdminText(t, h.Bundle, "SELECT coalesce(sum(letters), 0)::text FROM auth.letter_counts WHERE kind = 'factor_wrong'")
}
