// Stop ends the Postgres cluster that the tests share, and removes its data.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gatehouse/gatehouse/platform/pgtest"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := pgtest.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
