// Package directory asks management about assistants, and remembers the
// answers.
//
// An answer is kept for a minute, and dropped at once when management
// announces a change over Postgres ([Directory.Forget], bound to
// [Channel]). A lost announcement therefore costs a minute.
package directory

import (
	"context"
	"errors"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/platform/clock"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

const (
	// Channel is where management announces each changed assistant by its id.
	Channel = "management_assistants"

	ttl     = time.Minute
	entries = 4096
)

// Directory answers about assistants. It is safe for concurrent use.
type Directory struct {
	client managementv1.AssistantDirectoryServiceClient
	clock  clock.Clock
	known  *lru.Cache[string, entry]
}

type entry struct {
	organizationID string
	assistant      *managementv1.Assistant
	until          time.Time
}

// New returns a directory over a connection to management.
func New(client managementv1.AssistantDirectoryServiceClient, clk clock.Clock) (*Directory, error) {
	if client == nil || clk == nil {
		return nil, errors.New("directory: every dependency is required")
	}
	known, err := lru.New[string, entry](entries)
	if err != nil {
		return nil, err
	}
	return &Directory{client: client, clock: clk, known: known}, nil
}

// Resolve returns an assistant of an organization that is not deleted. Whoever
// gets it must not change it. The fault of an absent one, or of another
// organization's, is NOT_FOUND.
func (d *Directory) Resolve(ctx context.Context, organizationID, id string) (*managementv1.Assistant, error) {
	id = strings.ToLower(id) // announcements use lower case
	if e, ok := d.known.Get(id); ok && e.organizationID == organizationID && d.clock.Now().Before(e.until) {
		return e.assistant, nil
	}
	// Taken before the call: an answer that was read before a change must not
	// outlive the announcement of it for longer than the time to live.
	until := d.clock.Now().Add(ttl)
	assistant, err := d.client.ResolveAssistant(ctx, &managementv1.ResolveAssistantRequest{OrganizationId: organizationID, Id: id})
	if err != nil {
		return nil, err //nolint:wrapcheck // a status, which fault.From understands
	}
	d.known.Add(id, entry{organizationID: organizationID, assistant: assistant, until: until})
	return assistant, nil
}

// Forget drops what is known of an assistant.
func (d *Directory) Forget(_ context.Context, id string) { d.known.Remove(id) }

// ForgetAll drops everything, for when announcements may have been missed.
func (d *Directory) ForgetAll(context.Context) { d.known.Purge() }
