// Package outbox shows a developer what was written down instead of being sent.
package outbox

import (
	"github.com/gatehouse/gatehouse/platform/paging"
)

// most is one message more than a page has at most: it tells whether another
// page follows.
const most = 101

// list is the outbox in the order of its files' names, which is that of time.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "outbox",
	ID:           "name",
	Fields:       map[string]paging.Field{"name": {Column: "name", Type: paging.String, Order: true}},
	DefaultOrder: "name desc",
}
