package process_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/mailtest"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

// Doctor prints a line for each dependency that works, and stops at the first that fails.
func TestDoctor_Dependencies_AreChecked(t *testing.T) {
	t.Parallel()
	database, server := pgtest.New(t), mailtest.Start(t)
	examine := func(smtpURL string) (string, error) {
		s, err := settings.Load(map[string]string{
			"GATEHOUSE_DATABASE_URL": database.AdminURL,
			"GATEHOUSE_SECRET_KEY":   base64.StdEncoding.EncodeToString(database.SecretKey),
			"GATEHOUSE_DATA_DIR":     t.TempDir(),
			"GATEHOUSE_SMTP_URL":     smtpURL,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Migrate(t.Context(), s, "test", false, io.Discard); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = process.Doctor(t.Context(), s, "test", &out)
		return out.String(), err
	}
	output, err := examine(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"settings    ok (local)", "database    ok", "migrations  ok", "mail        ok", "texts       ok"} {
		if !strings.Contains(output, line+"\n") {
			t.Errorf("%q is not in %q", line, output)
		}
	}
	if output, err := examine(mailtest.URLAt(mailtest.Reserve(t))); err == nil || !strings.Contains(err.Error(), "mail") || strings.Contains(output, "mail ") ||
		strings.Contains(err.Error(), mailtest.Password) {
		t.Errorf("an unreachable mail server: %v, %q", err, output)
	}
}
