package authtest

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// WantActions reads an organization's trail as the administrator: no service may.
func WantActions(t *testing.T, b *Bundle, organizationID string, want ...string) {
	t.Helper()
	got := AdminText(t, b, "SELECT coalesce(string_agg(action, ' ' ORDER BY time, id), '') FROM audit.events WHERE organization_id = $1", organizationID)
	if got != strings.Join(want, " ") {
		t.Errorf("the trail holds %q, want %q", got, want)
	}
}

func AdminText(t *testing.T, b *Bundle, sql string, args ...any) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.Database.AdminURL)
	Must(t, err)
	var text string
	Must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&text))
	Must(t, conn.Close(t.Context()))
	return text
}
