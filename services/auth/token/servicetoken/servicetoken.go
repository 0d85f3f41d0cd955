// Package servicetoken gives the services of the suite the tokens by which they
// know each other.
//
// A service proves itself with a secret that both sides derive from the
// installation's secret key, so none is stored. Its token names one callee as
// audience and is good for nothing else.
package servicetoken

import (
	"time"
)

// TTL is how long a service token lives.
const TTL = 5 * time.Minute
