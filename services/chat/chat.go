// Package chat is the service that answers questions. It stores conversations, executes runs
// and indexes the documents that answers are based on.
//
// [New] builds the service. [Service.Register] adds its RPCs to a server. [Service.Run] must
// run beside the server: it executes runs, indexes documents, and deletes expired and erased
// rows.
package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/erasure"
	"github.com/gatehouse/gatehouse/platform/idempotency"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/platform/room"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/directory"
	"github.com/gatehouse/gatehouse/services/chat/export"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/collection"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/search"
	"github.com/gatehouse/gatehouse/services/chat/run"
	"github.com/gatehouse/gatehouse/services/chat/ticket"
)

// instrumentation is the name of the service's tracer and meter.
const instrumentation = "github.com/gatehouse/gatehouse/services/chat"

// stopTimeout bounds how long jobs may continue when the service stops.
const stopTimeout = 10 * time.Second

// Config is what an installation sets.
type Config struct {
	// SecretKey is the installation's secret of 32 bytes. It signs page tokens.
	SecretKey []byte
	// Model is the default chat model, provider/name.
	Model string
	// Embedder is the embedder, provider/name.
	Embedder string
	// OpenAIKey and OpenAIBaseURL configure an OpenAI-compatible server. When both are
	// empty, there is no provider "openai".
	OpenAIKey, OpenAIBaseURL string
	// RunsPerUser and RunsPerOrganization are how many runs each may have at once. 0
	// means no limit.
	RunsPerUser, RunsPerOrganization int32
	// Journal is the folder of [run.Config].
	Journal string
	// Uploads is the folder for unfinished uploads, on this machine's disk. No file
	// remains in it. The default is the system's temporary folder.
	Uploads string
}

// Deps is what the service needs.
type Deps struct {
	// DB is opened with the role of package migrations.
	DB *postgres.DB
	// Management is a connection to the management service.
	Management grpc.ClientConnInterface
	// Auth is a connection to the auth service.
	Auth grpc.ClientConnInterface
	// Erasures is auth's feed of erased users and organizations.
	Erasures erasure.Source
	// Authorizer checks the rules of the contracts.
	Authorizer *authz.Authorizer
	Clock      clock.Clock
	Log        *slog.Logger
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
}

// Service is the chat service.
type Service struct {
	db       *postgres.DB
	rooms    room.List
	tickets  *ticket.Service
	models   *models
	jobs     *jobs.Client
	listener *postgres.Listener
	erasures *erasure.Follower
}

// New builds the service.
func New(cfg Config, d Deps) (*Service, error) {
	if err := deps.Check("chat", d); err != nil {
		return nil, err
	}
	tokens, err := paging.NewTokens(cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	models, err := openModels(cfg, d)
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	s := &Service{db: d.DB, models: models, listener: d.DB.NewListener()}
	b := builder{cfg: cfg, deps: d, tokens: tokens, trail: audit.NewTrail(d.Clock), models: models}
	k, err := b.knowledge()
	if err != nil {
		return nil, err
	}
	s.jobs = k.jobs
	c, err := b.conversations(k, s.listener)
	if err != nil {
		return nil, err
	}
	s.tickets = c.tickets
	// A room refers to the rows of rooms before it, as [room.List.Erase] requires.
	s.rooms = room.List{k.collections, k.documents, k.search, c.conversations, c.runs, c.tickets, c.export}
	entities, err := entities(entity.Deps{DB: d.DB, Tokens: tokens, Trail: b.trail, Clock: d.Clock})
	if err != nil {
		return nil, err
	}
	s.rooms = append(s.rooms, entities...)
	s.erasures, err = erasure.NewFollower(erasure.Deps{
		DB: d.DB, Source: d.Erasures, Erase: s.rooms.Erase(d.DB), Clock: d.Clock, Log: d.Log,
	})
	return s, err
}

// builder builds the rooms. Its fields are what several rooms need.
type builder struct {
	cfg    Config
	deps   Deps
	tokens *paging.Tokens
	trail  *audit.Trail
	models *models
}

// knowledgeRooms are the rooms of documents, and the queue that indexes documents.
type knowledgeRooms struct {
	collections *collection.Service
	documents   *document.Service
	search      *search.Service
	jobs        *jobs.Client
}

func (b builder) knowledge() (k knowledgeRooms, err error) {
	budget := document.NewBudget()
	indexer, err := document.NewIndexer(document.IndexerDeps{
		DB: b.deps.DB, Embedder: b.models.embedder, Clock: b.deps.Clock, Budget: budget, Spool: b.cfg.Uploads,
	})
	if err != nil {
		return k, err
	}
	workers := jobs.NewWorkers()
	if err := indexer.Register(workers); err != nil {
		return k, err
	}
	if k.jobs, err = jobs.Open(b.deps.DB, jobs.Options{
		Workers: workers, Queues: map[string]int{jobs.DefaultQueue: 2},
		Periodic: []jobs.Periodic{indexer.Periodic()}, Log: b.deps.Log, MeterProvider: b.deps.Meter, Clock: b.deps.Clock,
	}); err != nil {
		return k, err
	}
	if k.collections, err = collection.New(collection.Deps{
		DB: b.deps.DB, Tokens: b.tokens, Trail: b.trail, Rights: b.deps.Authorizer, Clock: b.deps.Clock,
	}); err != nil {
		return k, err
	}
	answers, err := idempotency.New(b.deps.DB, b.cfg.SecretKey, b.deps.Clock)
	if err != nil {
		return k, err
	}
	if k.documents, err = document.New(document.Deps{
		DB: b.deps.DB, Tokens: b.tokens, Trail: b.trail, Jobs: k.jobs,
		Answers: answers, Clock: b.deps.Clock, Budget: budget, Spool: b.cfg.Uploads,
	}); err != nil {
		return k, err
	}
	k.search, err = search.New(search.Deps{DB: b.deps.DB, Embedder: b.models.embedder})
	return k, err
}

// conversationRooms are the rooms of conversations and runs.
type conversationRooms struct {
	conversations *conversation.Service
	runs          *run.Service
	tickets       *ticket.Service
	export        *export.Service
}

func (b builder) conversations(k knowledgeRooms, listener *postgres.Listener) (c conversationRooms, err error) {
	assistants, err := directory.New(directory.Deps{
		Client: managementv1.NewAssistantDirectoryServiceClient(b.deps.Management), Clock: b.deps.Clock,
	})
	if err != nil {
		return c, err
	}
	listener.Handle(directory.Channel, assistants.Forget)
	listener.OnConnect(assistants.ForgetAll)
	engine, err := b.models.engine(b.deps, k.search.Searcher())
	if err != nil {
		return c, err
	}
	if c.tickets, err = ticket.New(ticket.Deps{DB: b.deps.DB, Clock: b.deps.Clock, Log: b.deps.Log}); err != nil {
		return c, err
	}
	store := conversation.NewStore(b.deps.DB, b.tokens)
	if c.runs, err = run.New(run.Deps{
		Config: run.Config{Journal: b.cfg.Journal, PerUser: b.cfg.RunsPerUser, PerOrganization: b.cfg.RunsPerOrganization},
		DB:     b.deps.DB, Conversations: store, Listener: listener, Engine: engine, Models: b.models.registry,
		Assistants: assistants, Collections: k.collections, Tickets: c.tickets, Rights: b.deps.Authorizer,
		Clock: b.deps.Clock, Log: b.deps.Log, Meter: b.deps.Meter.Meter(instrumentation),
	}); err != nil {
		return c, err
	}
	if c.conversations, err = conversation.New(conversation.Deps{Store: store, Messenger: c.runs, Clock: b.deps.Clock}); err != nil {
		return c, err
	}
	c.export, err = export.New(export.Deps{
		DB: b.deps.DB, Auth: b.deps.Auth, Conversations: store, Trail: b.trail, Clock: b.deps.Clock,
	})
	return c, err
}

// Register adds the service's RPCs to a server.
func (s *Service) Register(server grpc.ServiceRegistrar) { s.rooms.Register(server) }

// Tables returns the tables that the service owns.
func (s *Service) Tables() []room.Table { return s.rooms.Tables() }

// Sweep deletes expired rows once. Run does it regularly.
func (s *Service) Sweep(ctx context.Context) error { return s.rooms.Sweep(ctx) }

// Erase deletes the rows of an erased user or organization. Run calls it for each.
func (s *Service) Erase(ctx context.Context, e erasure.Erasure) error {
	return s.rooms.Erase(s.db)(ctx, e)
}

// Run does the background work of the service until ctx ends. Then the runs and the jobs of
// this process have some time to finish.
func (s *Service) Run(ctx context.Context) error {
	// Stop ends the jobs, not the end of ctx, so that jobs may finish.
	if err := s.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	err := s.rooms.Run(ctx, s.listener, s.erasures, s.models)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, s.jobs.Stop(stopCtx))
}

// Tickets redeems the tickets of streams, for the server that authenticates callers.
func (s *Service) Tickets() *ticket.Service { return s.tickets }

// Listening reports whether announcements from other processes arrive.
func (s *Service) Listening() bool { return s.listener.Healthy() }

// Working reports whether documents are being indexed.
func (s *Service) Working() bool { return s.jobs.Healthy() }

// ModelDegraded reports whether recent calls of the model provider have failed.
func (s *Service) ModelDegraded() bool { return s.models.degraded() }
