// Package servicetoken is the room that issues the tokens with which the services
// authenticate to each other.
//
// A service proves its identity with a secret that both sides derive from the
// installation's secret key, so no secret is stored. Its token names one callee as
// audience and is valid for no other.
package servicetoken

import (
	"time"
)

// TTL is the lifetime of a service token.
const TTL = 5 * time.Minute
