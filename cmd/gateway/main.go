// Command gateway runs the gateway of Gatehouse in a process of its own.
package main

import (
	"fmt"
	"os"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
)

// version is set by the linker in a release.
var version = "dev"

func main() {
	if err := process.Main(process.Gateway, version, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}
