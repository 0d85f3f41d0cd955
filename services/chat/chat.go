// Package chat is the service that answers questions: it keeps conversations,
// runs the engine, and indexes the documents that answers are drawn from.
//
// [New] builds the service, [Service.Register] puts its RPCs on a server, and
// [Service.Run] must run beside the server: it executes runs and indexes
// documents.
package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	gone "github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/directory"
	"github.com/gatehouse/gatehouse/services/chat/erasure"
	"github.com/gatehouse/gatehouse/services/chat/export"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/search"
	"github.com/gatehouse/gatehouse/services/chat/run"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

// instrumentation names the service's spans and instruments.
const instrumentation = "github.com/gatehouse/gatehouse/services/chat"

// stopTimeout bounds how long jobs may finish when the service stops.
const stopTimeout = 10 * time.Second

// Config is what an installation sets.
type Config struct {
	// SecretKey is the installation's secret of 32 bytes; it signs page tokens.
	SecretKey []byte
	// Model is the default chat model, provider/name.
	Model string
	// Embedder is the embedder, provider/name.
	Embedder string
	// OpenAIKey and OpenAIBaseURL reach an OpenAI-compatible server. With both
	// empty there is no provider "openai".
	OpenAIKey, OpenAIBaseURL string
	// RunsPerUser and RunsPerOrganization are how many runs each may have at once; 0
	// means no limit.
	RunsPerUser, RunsPerOrganization int32
	// Journal is where processes on this machine note what readers of a run have
	// seen; see [run.Config].
	Journal string
	// Uploads is the folder for unfinished uploads, on this machine's disk. No
	// file stays there. Empty means the system's temporary folder.
	Uploads string
}

// Deps is what the service needs; all of it.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB *postgres.DB
	// Management is a connection to the management service.
	Management grpc.ClientConnInterface
	// Auth is a connection to the auth service.
	Auth grpc.ClientConnInterface
	// Erasures is auth's feed of erased users and organizations.
	Erasures gone.Source
	// Authorizer holds the rules of the contracts.
	Authorizer *authz.Authorizer
	Clock      clock.Clock
	Log        *slog.Logger
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
}

func (d Deps) check() error {
	if d.DB == nil || d.Management == nil || d.Auth == nil || d.Erasures == nil || d.Authorizer == nil || d.Clock == nil || d.Log == nil || d.Tracer == nil || d.Meter == nil {
		return errors.New("chat: every dependency is required")
	}
	return nil
}

// Service is the chat service.
type Service struct {
	db            *postgres.DB
	log           *slog.Logger
	models        *models
	answers       *idempotency.Keys
	jobs          *jobs.Client
	listener      *postgres.Listener
	conversations *conversation.Service
	runs          *run.Service
	collections   *collection.Service
	directory     *collection.Directory
	documents     *document.Service
	search        *search.Service
	erasures      *gone.Follower
	export        *export.Service
	tickets       *ticket.Tickets
}

// New builds the service.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := deps.check(); err != nil {
		return nil, err
	}
	tokens, err := paging.NewTokens(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	models, err := openModels(cfg, deps)
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	answers, err := idempotency.New(deps.DB, cfg.SecretKey, deps.Clock)
	if err != nil {
		return nil, err
	}
	s := &Service{db: deps.DB, log: deps.Log, models: models, answers: answers}
	if s.erasures, err = gone.NewFollower(gone.Deps{
		DB: deps.DB, Source: deps.Erasures, Erase: erasure.NewStore(deps.DB).Erase, Clock: deps.Clock, Log: deps.Log,
	}); err != nil {
		return nil, err
	}
	if err := s.openKnowledge(cfg, deps, tokens); err != nil {
		return nil, err
	}
	return s, s.openConversations(cfg, deps, tokens)
}

// openKnowledge builds the rooms of documents and their background work.
func (s *Service) openKnowledge(cfg Config, deps Deps, tokens *paging.Tokens) error {
	budget := document.NewBudget()
	indexer, err := document.NewIndexer(document.IndexerDeps{
		DB: deps.DB, Embedder: s.models.embedder, Clock: deps.Clock, Budget: budget, Spool: cfg.Uploads,
	})
	if err != nil {
		return err
	}
	workers := jobs.NewWorkers()
	if err := indexer.Register(workers); err != nil {
		return err
	}
	s.jobs, err = jobs.Open(deps.DB, jobs.Options{
		Workers: workers, Queues: map[string]int{jobs.DefaultQueue: 2},
		Periodic: []jobs.Periodic{indexer.Periodic()}, Log: deps.Log, MeterProvider: deps.Meter, Clock: deps.Clock,
	})
	if err != nil {
		return err
	}
	trail := audit.NewTrail(deps.Clock)
	if s.collections, err = collection.New(collection.Deps{DB: deps.DB, Tokens: tokens, Trail: trail, Clock: deps.Clock}); err != nil {
		return err
	}
	if s.directory, err = collection.NewDirectory(s.collections, deps.Authorizer); err != nil {
		return err
	}
	if s.documents, err = document.New(document.Deps{
		DB: deps.DB, Tokens: tokens, Trail: trail, Jobs: s.jobs,
		Answers: s.answers, Clock: deps.Clock, Budget: budget, Spool: cfg.Uploads,
	}); err != nil {
		return err
	}
	s.search, err = search.New(search.Deps{DB: deps.DB, Embedder: s.models.embedder})
	return err
}

// openConversations builds the rooms of conversations and runs.
func (s *Service) openConversations(cfg Config, deps Deps, tokens *paging.Tokens) error {
	assistants, err := directory.New(managementv1.NewAssistantDirectoryServiceClient(deps.Management), deps.Clock)
	if err != nil {
		return err
	}
	s.listener = deps.DB.NewListener()
	s.listener.Handle(directory.Channel, assistants.Forget)
	s.listener.OnConnect(assistants.ForgetAll)
	engine, err := s.models.engine(deps, s.search.Searcher())
	if err != nil {
		return err
	}
	store := conversation.NewStore(deps.DB, tokens)
	if s.tickets, err = ticket.New(ticket.Deps{DB: deps.DB, Clock: deps.Clock, Log: deps.Log}); err != nil {
		return err
	}
	s.runs, err = run.New(run.Deps{
		Config: run.Config{Journal: cfg.Journal, PerUser: cfg.RunsPerUser, PerOrganization: cfg.RunsPerOrganization},
		DB:     deps.DB, Conversations: store, Listener: s.listener, Engine: engine, Models: s.models.registry,
		Assistants: assistants, Collections: s.collections, Tickets: s.tickets, Rights: deps.Authorizer,
		Clock: deps.Clock, Log: deps.Log, Meter: deps.Meter.Meter(instrumentation),
	})
	if err != nil {
		return err
	}
	if s.conversations, err = conversation.NewService(conversation.Deps{Store: store, Messenger: s.runs, Clock: deps.Clock}); err != nil {
		return err
	}
	s.export, err = export.NewService(export.Deps{
		Auth: deps.Auth, Conversations: store, Store: export.NewStore(deps.DB, audit.NewTrail(deps.Clock)), Clock: deps.Clock,
	})
	return err
}

// Register puts the service's RPCs on a server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	chatv1.RegisterConversationServiceServer(server, s.conversations)
	chatv1.RegisterRunServiceServer(server, s.runs)
	chatv1.RegisterExportServiceServer(server, s.export)
	knowledgev1.RegisterCollectionServiceServer(server, s.collections)
	knowledgev1.RegisterCollectionDirectoryServiceServer(server, s.directory)
	knowledgev1.RegisterDocumentServiceServer(server, s.documents)
	knowledgev1.RegisterKnowledgeServiceServer(server, s.search)
}

// Run executes runs, indexes documents and erases what is gone until ctx ends; then
// it gives what is at work a moment to finish.
func (s *Service) Run(ctx context.Context) error {
	// Jobs are stopped by Stop, not by the end of ctx: what is at work may finish.
	if err := s.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.runs.Run(groupCtx) })
	group.Go(func() error { return s.listener.Run(groupCtx) })
	group.Go(func() error { return s.erasures.Run(groupCtx) })
	group.Go(func() error { return s.tickets.Run(groupCtx) })
	group.Go(func() error { return s.models.watch(groupCtx) })
	err := group.Wait()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, s.jobs.Stop(stopCtx))
}

// Tickets redeems the tickets of streams, for the server that authenticates callers.
func (s *Service) Tickets() *ticket.Tickets { return s.tickets }

// Listening tells whether announcements from other processes arrive.
func (s *Service) Listening() bool { return s.listener.Healthy() }

// Working tells whether documents are being indexed.
func (s *Service) Working() bool { return s.jobs.Healthy() }

// ModelDegraded tells whether the model provider has been failing lately.
func (s *Service) ModelDegraded() bool { return s.models.degraded() }
