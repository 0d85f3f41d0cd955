package process_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/cmd/internal/settings"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

// When the start fails after the first operator was created, the account stays. Its password could
// not be read later, so Serve prints it.
func TestServe_StartFails_PrintsTheGeneratedPassword(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	database := pgtest.New(t)
	s, err := settings.Load(map[string]string{
		"GATEHOUSE_DATABASE_URL": database.AdminURL,
		"GATEHOUSE_SECRET_KEY":   base64.StdEncoding.EncodeToString(database.SecretKey),
		"GATEHOUSE_DATA_DIR":     t.TempDir(),
		"GATEHOUSE_GATEWAY_ADDR": "127.0.0.1:0",
		"GATEHOUSE_OPS_ADDR":     taken.Addr().String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := process.Serve(t.Context(), s, "test", &out, io.Discard); err == nil {
		t.Fatal("it started although the port is in use")
	}
	if !strings.Contains(out.String(), "Sign in as admin@gatehouse.local with the password ") {
		t.Errorf("the output is %q", out.String())
	}
}
