// Package audit writes the trail of who did what to which resource.
//
// A row is written in the transaction of the deed: there is no deed without
// its row and no row without its deed. The table can only be appended to; no
// service's role may read, change or delete rows.
//
// Readers of the trail are clients of the API: a field that changed is named as
// JSON names it there ("displayName"). The trail spells it so itself, whatever a
// room has at hand, such as a path of an update mask ("display_name").
package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Event is one deed. Who did it and from where is read from the context.
type Event struct {
	// OrganizationID is the organization that the resource belongs to.
	OrganizationID string
	// ActorID is the user who acts, for deeds without a signed-in caller, such
	// as signing in itself. Empty takes the caller.
	ActorID string
	// Action is service.resource.verb in the past, for example
	// "management.assistant.created".
	Action string
	// ResourceType and ResourceID name the resource.
	ResourceType, ResourceID string
	// Changes holds what changed, before and after, by the field's name in the
	// contract, in its spelling or in JSON's; no secrets.
	Changes map[string]Change
}

// Change is one field before and after.
type Change struct {
	Before any `json:"before"`
	After  any `json:"after"`
}

// Trail appends to the audit trail.
type Trail struct{ clock clock.Clock }

// NewTrail returns a trail.
func NewTrail(clk clock.Clock) *Trail { return &Trail{clock: clk} }

const insert = `INSERT INTO audit.events
	(id, organization_id, time, actor_type, actor_id, action, resource_type, resource_id, ip_address, request_id, changes)
	SELECT r.event_id, $2, $3, $4, $5, $6, $7, r.resource_id, nullif($9, '')::inet, $10, $11
	FROM unnest($1::uuid[], $8::text[]) AS r (event_id, resource_id)`

// Append writes an event in the transaction of the deed.
func (t *Trail) Append(ctx context.Context, tx pgx.Tx, e Event) error {
	return t.AppendEach(ctx, tx, e, []string{e.ResourceID})
}

// AppendEach is [Trail.Append] for each of some resources, to all of which the same
// was done.
func (t *Trail) AppendEach(ctx context.Context, tx pgx.Tx, e Event, resourceIDs []string) error {
	named := make(map[string]Change, len(e.Changes))
	for field, change := range e.Changes {
		named[fault.FieldName(field)] = change
	}
	changes, err := json.Marshal(named)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	actorType, actorID := actor(ctx, e)
	origin := identity.OriginFromContext(ctx)
	_, err = postgres.TxExec(ctx, tx, insert, id.NewEach(len(resourceIDs)), e.OrganizationID, t.clock.Now(), actorType, actorID,
		e.Action, e.ResourceType, resourceIDs, origin.IPAddress, origin.RequestID, string(changes))
	return err
}

func actor(ctx context.Context, e Event) (kind, actorID string) {
	if e.ActorID != "" {
		return "user", e.ActorID
	}
	if p, ok := identity.FromContext(ctx); ok && p.ServiceAccount {
		return "service_account", p.UserID
	} else if ok {
		return "user", p.UserID
	}
	if s, ok := identity.ServiceFromContext(ctx); ok {
		return "service", s.Name
	}
	return "system", ""
}
