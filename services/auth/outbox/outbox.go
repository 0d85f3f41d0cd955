// Package outbox is the room in which a developer reads the emails that this
// installation keeps instead of sending.
package outbox

import (
	"github.com/gatehouse/gatehouse/platform/paging"
)

// most is one more than a page can have. The extra message shows that another page
// follows.
const most = 101

// list declares the order: by the names of the files, which is the order of time.
var list = paging.List{ //nolint:gochecknoglobals // a constant table
	Name:         "outbox",
	ID:           "name",
	Fields:       map[string]paging.Field{"name": {Column: "name", Type: paging.String, Order: true}},
	DefaultOrder: "name desc",
}
