// Command gateway is the part gateway of Gatehouse as a process of its own.
package main

import (
	"fmt"
	"os"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
)

// version is set when a release is linked.
var version = "dev"

func main() {
	if err := process.Main(process.Gateway, version, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}
