// Package directory reads assistants from management and caches them.
//
// An assistant is cached for a minute. It is removed at once when management announces a
// change over Postgres: [Directory.Forget] handles the announcements of [Channel]. So
// after a lost announcement an assistant is outdated for a minute at most.
package directory

import (
	"context"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

const (
	// Channel is where management announces each changed assistant by its id.
	Channel = "management_assistants"

	ttl     = time.Minute
	entries = 4096
)

// Deps is what a directory needs.
type Deps struct {
	// Client calls the management service.
	Client managementv1.AssistantDirectoryServiceClient
	Clock  clock.Clock
}

// Directory finds assistants. It is safe for concurrent use.
type Directory struct {
	deps  Deps
	cache *lru.Cache[string, entry]
}

type entry struct {
	organizationID string
	assistant      *managementv1.Assistant
	until          time.Time
}

// New returns a directory with an empty cache.
func New(d Deps) (*Directory, error) {
	if err := deps.Check("directory", d); err != nil {
		return nil, err
	}
	cache, err := lru.New[string, entry](entries)
	if err != nil {
		return nil, err
	}
	return &Directory{deps: d, cache: cache}, nil
}

// Resolve returns an assistant of an organization. It returns NOT_FOUND for an assistant
// that is deleted or belongs to another organization. All callers share the returned
// value, so they must not change it.
func (d *Directory) Resolve(ctx context.Context, organizationID, id string) (*managementv1.Assistant, error) {
	id = strings.ToLower(id) // announcements use lower case
	if e, ok := d.cache.Get(id); ok && e.organizationID == organizationID && d.deps.Clock.Now().Before(e.until) {
		return e.assistant, nil
	}
	// The time is taken before the call. If the call reads the assistant before a change
	// and returns after its announcement, the old assistant expires in time nevertheless.
	until := d.deps.Clock.Now().Add(ttl)
	assistant, err := d.deps.Client.ResolveAssistant(ctx, &managementv1.ResolveAssistantRequest{OrganizationId: organizationID, Id: id})
	if err != nil {
		return nil, err // a status, which fault.From converts
	}
	d.cache.Add(id, entry{organizationID: organizationID, assistant: assistant, until: until})
	return assistant, nil
}

// Forget removes an assistant from the cache.
func (d *Directory) Forget(_ context.Context, id string) { d.cache.Remove(id) }

// ForgetAll empties the cache, when announcements may have been missed.
func (d *Directory) ForgetAll(context.Context) { d.cache.Purge() }
