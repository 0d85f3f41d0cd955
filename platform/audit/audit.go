// Package audit writes the audit trail: the actor, the action and the resource of each
// write.
//
// An event is written in the transaction of the action, so there is no action without its
// event and no event without its action. The table is append-only: no role of a service
// may read, change or delete rows.
//
// Readers of the trail know the fields of the API, so the name of a changed field is the
// name in JSON ("displayName"). The trail converts other names itself, such as a path of
// an update mask ("display_name").
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

// Event is one action. The actor and the origin are read from the context.
type Event struct {
	// OrganizationID is the organization that the resource belongs to.
	OrganizationID string
	// ActorID is the user who acts, for actions without an authenticated caller, such
	// as a sign-in. Empty means the caller.
	ActorID string
	// Action is service.resource.verb with the verb in the past tense, for example
	// "management.assistant.created".
	Action string
	// ResourceType and ResourceID name the resource.
	ResourceType, ResourceID string
	// Changes contains the changed fields by their names in the contract or in JSON. It
	// must not contain secrets.
	Changes map[string]Change
}

// Change is the value of one field before and after the action.
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

// Append writes an event in the transaction of the action.
func (t *Trail) Append(ctx context.Context, tx pgx.Tx, e Event) error {
	return t.AppendEach(ctx, tx, e, []string{e.ResourceID})
}

// AppendEach is [Trail.Append] for several resources with the same action. It writes one
// event for each.
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
