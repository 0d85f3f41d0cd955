// Package clients tests the client libraries of other projects against the product, over each
// protocol of the gateway, as web pages and Node services use them.
package clients_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/sources"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

const (
	typescript = "../../clients/typescript"
	// patience is long, since the machine may be busy with other tests.
	patience = 5 * time.Minute
)

// The tests of the TypeScript client pass against a gateway in this process. They use the npm
// clients of Connect, gRPC-Web and gRPC.
func TestTypeScriptClient_LiveTests_Pass(t *testing.T) {
	t.Parallel()
	sources.Depend()
	if _, err := os.Stat(filepath.Join(typescript, "node_modules", ".package-lock.json")); err != nil {
		t.Fatalf("the npm packages of %s are not installed: run make clients (%v)", typescript, err)
	}
	product := inprocess.Start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "npm", "run", "--silent", "test:live")
	command.Dir = typescript
	command.Env = append(os.Environ(),
		"GATEHOUSE_TEST_URL="+product.URL,
		"GATEHOUSE_TEST_EMAIL="+inprocess.AdminEmail,
		"GATEHOUSE_TEST_PASSWORD="+inprocess.AdminPassword)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}
