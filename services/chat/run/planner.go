package run

import (
	"context"
	"slices"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/engine"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// The permissions for the resources that a run uses beside its conversation. They are
// checked when the run starts. Its stored answer is the same for all its readers.
const (
	useAssistants = "assistants.read"
	useKnowledge  = "knowledge.read"
)

// plan is how a message is answered.
type plan struct {
	request engine.Request
	// missingCollections and missingAssistant are stored references to deleted
	// resources. The run skips them, and reports them.
	missingCollections []string
	missingAssistant   string
}

// planner decides how messages are answered: with which assistant, model and collections,
// and whether the caller may use them. It keeps no state and is safe for concurrent use.
type planner struct {
	models      *model.Registry
	assistants  Assistants
	collections Collections
	rights      Rights
}

func newPlanner(d Deps) *planner {
	return &planner{models: d.Models, assistants: d.Assistants, collections: d.Collections, rights: d.Rights}
}

// check refuses an assistant and collections that do not exist, or that the caller may not
// use. An empty id names no assistant.
func (l *planner) check(ctx context.Context, scope postgres.Scope, assistantID string, collectionIDs []string) error {
	if assistantID != "" {
		if _, err := l.assistant(ctx, scope, assistantID, "conversation.assistantId"); err != nil {
			return err
		}
	}
	if len(collectionIDs) > 0 {
		return l.checkCollections(ctx, scope, collectionIDs, "conversation.collectionIds")
	}
	return nil
}

// plan returns how a message is answered, or why it cannot be.
func (l *planner) plan(ctx context.Context, scope postgres.Scope, c conversation.Conversation, req *chatv1.SendMessageRequest) (plan, error) {
	p := plan{request: engine.Request{Caller: tool.Caller{OrganizationID: scope.OrganizationID, UserID: scope.UserID}}}
	collections, err := l.chooseAssistant(ctx, scope, c, req, &p)
	if err != nil {
		return p, err
	}
	if err := l.chooseCollections(ctx, scope, slices.Concat(collections, c.CollectionIDs), req.GetCollectionIds(), &p); err != nil {
		return p, err
	}
	if req.GetModel() != "" {
		p.request.Assistant.Model = req.GetModel()
	}
	_, err = l.models.Model(p.request.Assistant.Model, p.request.Assistant.FallbackModels...)
	return p, err
}

// chooseAssistant puts the assistant of the request, or else of the conversation, into
// the plan, and returns its collections. When the conversation's assistant was deleted,
// the default assistant answers, as in a conversation without one. All runs with the
// assistant share the returned slice, so the caller must not change it.
func (l *planner) chooseAssistant(ctx context.Context, scope postgres.Scope, c conversation.Conversation, req *chatv1.SendMessageRequest, p *plan,
) ([]string, error) {
	assistantID, stored := req.GetAssistantId(), false
	if assistantID == "" {
		assistantID, stored = c.AssistantID, true
	}
	if assistantID == "" {
		return nil, nil
	}
	a, err := l.assistant(ctx, scope, assistantID, "assistantId")
	if stored && fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		p.missingAssistant = assistantID
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.request.Assistant = engine.Assistant{Instructions: a.GetInstructions(), Model: a.GetModel(), Temperature: a.Temperature}
	if len(a.GetTools()) > 0 {
		p.request.Assistant.Tools = a.GetTools()
	}
	return a.GetCollectionIds(), nil
}

// chooseCollections puts the collections of the request, or else the stored ones, into
// the plan. A run of a caller who may not read documents has no search tool. Neither has
// a run whose stored collections are all deleted, because an empty list would search all
// collections.
func (l *planner) chooseCollections(ctx context.Context, scope postgres.Scope, stored, named []string, p *plan) error {
	if len(named) > 0 {
		p.request.Caller.CollectionIDs = id.Distinct(named)
		return l.checkCollections(ctx, scope, p.request.Caller.CollectionIDs, "collectionIds")
	}
	if !l.may(ctx, useKnowledge) {
		p.withholdSearch()
		return nil
	}
	stored = id.Distinct(stored)
	missing, err := l.collections.Missing(ctx, scope, stored)
	if err != nil {
		return err
	}
	p.missingCollections = missing
	p.request.Caller.CollectionIDs = id.Without(stored, missing)
	if len(stored) > 0 && len(p.request.Caller.CollectionIDs) == 0 {
		p.withholdSearch()
	}
	return nil
}

func (p *plan) withholdSearch() {
	p.request.Withheld = append(p.request.Withheld, tool.KnowledgeSearchName)
}

// assistant returns an assistant that the caller may use. field is the field that names
// it, for the fault.
func (l *planner) assistant(ctx context.Context, scope postgres.Scope, assistantID, field string) (*managementv1.Assistant, error) {
	if err := l.require(ctx, useAssistants, field); err != nil {
		return nil, err
	}
	a, err := l.assistants.Resolve(ctx, scope.OrganizationID, assistantID)
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return nil, fault.From(err).WithViolation(field, "names an assistant that does not exist")
	}
	return a, err
}

// checkCollections refuses collections that do not exist, or that the caller may not read.
// field is the field that names them, for the fault.
func (l *planner) checkCollections(ctx context.Context, scope postgres.Scope, ids []string, field string) error {
	if err := l.require(ctx, useKnowledge, field); err != nil {
		return err
	}
	missing, err := l.collections.Missing(ctx, scope, ids)
	if err == nil && len(missing) > 0 {
		err = fault.NotFound("collection").WithViolation(field, "names a collection that does not exist")
	}
	return err
}

func (l *planner) may(ctx context.Context, permission string) bool {
	return l.rights.Require(ctx, permission) == nil
}

// require refuses a caller who does not have a permission, and names the field that needs
// it.
func (l *planner) require(ctx context.Context, permission, field string) error {
	err := l.rights.Require(ctx, permission)
	if err == nil {
		return nil
	}
	f := fault.From(err)
	return fault.Wrap(err, f.Reason(), "%s: %s", field, f.Detail()).WithViolation(field, "needs the permission "+permission)
}
