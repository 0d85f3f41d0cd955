package document

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

// Deps is what the room needs.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Jobs   *jobs.Client
	// Answers stores the responses to uploads that have an Idempotency-Key.
	Answers rpcserver.Replayer
	Clock   clock.Clock
	// Budget bounds the memory of documents and the number of uploads. The default is a
	// new budget.
	Budget *Budget `deps:"optional"`
	// Spool is the folder for unfinished uploads. The default is the system's temporary
	// folder.
	Spool string `deps:"optional"`
}

// Service implements the RPCs of documents.
type Service struct {
	knowledgev1.UnsafeDocumentServiceServer

	deps  Deps
	store *store
}

// New builds the room.
func New(d Deps) (*Service, error) {
	if err := deps.Check("document", d); err != nil {
		return nil, err
	}
	d.Budget = cmp.Or(d.Budget, NewBudget())
	return &Service{deps: d, store: &store{db: d.DB, tokens: d.Tokens}}, nil
}

// Register adds the room's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	knowledgev1.RegisterDocumentServiceServer(server, s)
}

// Tables returns the tables of the room. The rows of the other tables are deleted with the
// documents.
func (s *Service) Tables() []room.Table {
	return []room.Table{{Name: "chunks"}, {Name: "document_texts"}, {Name: "document_sources"}, {Name: "documents", Batch: 20}}
}

// CreateDocument implements the RPC.
func (s *Service) CreateDocument(ctx context.Context, req *knowledgev1.CreateDocumentRequest) (*knowledgev1.Document, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	d := Document{
		OrganizationID: caller.OrganizationID, CollectionID: req.GetCollectionId(),
		Title: req.GetTitle(), ContentType: req.GetContentType(),
	}
	if d.ContentType == "" {
		d.ContentType = parse.TypeText
	}
	if err := errors.Join(d.Validate("title"), CheckSize(len(req.GetContent()))); err != nil {
		return nil, err
	}
	d, err = s.add(ctx, caller, d, source{strings.NewReader(req.GetContent()), len(req.GetContent())}, storeWait)
	return entity.Reply(encode, d, err)
}

// add stores a document, its bytes, its job and its row in the audit trail, or none of
// them. It waits for memory for the duration wait.
func (s *Service) add(ctx context.Context, caller *identity.Principal, d Document, content source, wait time.Duration) (Document, error) {
	leave, err := s.deps.Budget.store(ctx, content.size, wait)
	if err != nil {
		return d, err
	}
	defer leave()
	now := clock.Stamp(s.deps.Clock)
	d.ID, d.SizeBytes, d.State, d.Revision, d.CreateTime, d.UpdateTime = id.New(), int64(content.size), Pending, 1, now, now
	err = s.store.inTx(ctx, d.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.store.insert(ctx, tx, d, content); err != nil {
			return err
		}
		job := Index{Tenant: jobs.Tenant{OrganizationID: d.OrganizationID, UserID: caller.UserID}, DocumentID: d.ID}
		if err := s.deps.Jobs.Insert(ctx, tx, job, jobs.InsertOptions{}); err != nil {
			return err
		}
		return s.record(ctx, tx, d.OrganizationID, d.ID, "created")
	})
	return d, err
}

// GetDocument implements the RPC.
func (s *Service) GetDocument(ctx context.Context, req *knowledgev1.GetDocumentRequest) (*knowledgev1.Document, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.store.get(ctx, caller.OrganizationID, req.GetId())
	return entity.Reply(encode, d, err)
}

// GetDocumentContent implements the RPC.
func (s *Service) GetDocumentContent(ctx context.Context, req *knowledgev1.GetDocumentContentRequest) (*httpbody.HttpBody, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	text, ok, err := s.store.text(ctx, caller.OrganizationID, req.GetId())
	if err != nil {
		return nil, err
	}
	if !ok {
		d, err := s.store.get(ctx, caller.OrganizationID, req.GetId())
		if err != nil {
			return nil, err
		}
		return nil, fault.New(faultv1.Reason_REASON_CONFLICT, "the document is %s: its text can be read when it is READY", d.State)
	}
	return &httpbody.HttpBody{ContentType: "text/plain; charset=utf-8", Data: []byte(text)}, nil
}

// ListDocuments implements the RPC.
func (s *Service) ListDocuments(ctx context.Context, req *knowledgev1.ListDocumentsRequest) (*knowledgev1.ListDocumentsResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.store.list(ctx, caller.OrganizationID, req.GetCollectionId(), paging.From(req))
	if err != nil {
		return nil, err
	}
	out := &knowledgev1.ListDocumentsResponse{NextPageToken: next}
	for _, d := range items {
		out.Documents = append(out.Documents, encode(d))
	}
	return out, nil
}

// DeleteDocument implements the RPC.
func (s *Service) DeleteDocument(ctx context.Context, req *knowledgev1.DeleteDocumentRequest) (*knowledgev1.DeleteDocumentResponse, error) {
	caller, err := identity.Require(ctx)
	if err != nil {
		return nil, err
	}
	err = s.store.inTx(ctx, caller.OrganizationID, func(ctx context.Context, tx postgres.Tx) error {
		if err := s.store.remove(ctx, tx, caller.OrganizationID, req.GetId()); err != nil {
			return err
		}
		return s.record(ctx, tx, caller.OrganizationID, req.GetId(), "deleted")
	})
	if err != nil {
		return nil, err
	}
	return &knowledgev1.DeleteDocumentResponse{}, nil
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, organizationID, documentID, verb string) error {
	return s.deps.Trail.Append(ctx, tx, audit.Event{
		OrganizationID: organizationID,
		Action:         "knowledge.document." + verb,
		ResourceType:   "document",
		ResourceID:     documentID,
	})
}
