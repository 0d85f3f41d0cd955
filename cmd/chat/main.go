// Command chat is the part chat of Gatehouse as a process of its own.
package main

import (
	"fmt"
	"os"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
)

// version is set when a release is linked.
var version = "dev"

func main() {
	if err := process.Main(process.Chat, version, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}
