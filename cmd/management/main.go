// Command management runs the management service of Gatehouse in a process of its own.
package main

import (
	"fmt"
	"os"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
)

// version is set by the linker in a release.
var version = "dev"

func main() {
	if err := process.Main(process.Management, version, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "management:", err)
		os.Exit(1)
	}
}
