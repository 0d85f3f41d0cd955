package document

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

const (
	// indexTimeout bounds one run: the largest document by a slow embedder.
	indexTimeout = 10 * time.Minute
	// failTimeout bounds the note that a run failed, which outlives the run.
	failTimeout = 10 * time.Second
	// embedBatch is how many passages are embedded between two steps of progress.
	embedBatch = 64
	// parsed is the progress once the text is split; the rest is embedding.
	parsed = 0.1
)

// Index is the job that makes a document searchable.
type Index struct {
	jobs.Tenant
	DocumentID string `json:"documentId"`
}

// Kind implements jobs.Args.
func (Index) Kind() string { return "index_document" }

// IndexerDeps is what indexing needs; all but the last two.
type IndexerDeps struct {
	DB       *postgres.DB
	Embedder embed.Embedder
	Clock    clock.Clock
	// Budget bounds the memory of documents; nil means a budget of its own.
	Budget *Budget
	// Spool is the folder for documents that are being read; empty means the
	// system's temporary folder.
	Spool string
}

// Indexer makes documents searchable.
type Indexer struct {
	store    *indexStore
	embedder embed.Embedder
	clock    clock.Clock
	budget   *Budget
	spool    string
}

// NewIndexer returns an indexer. It refuses an embedder whose vectors the schema
// cannot store.
func NewIndexer(deps IndexerDeps) (*Indexer, error) {
	if deps.DB == nil || deps.Embedder == nil || deps.Clock == nil {
		return nil, errors.New("document: every dependency of the indexer is required")
	}
	if n := deps.Embedder.Dimensions(); n != migrations.Dimensions {
		return nil, fmt.Errorf("document: embedder %s has %d dimensions, the schema stores %d",
			deps.Embedder.Version(), n, migrations.Dimensions)
	}
	return &Indexer{
		store: &indexStore{db: deps.DB}, embedder: deps.Embedder, clock: deps.Clock,
		budget: cmp.Or(deps.Budget, NewBudget()), spool: deps.Spool,
	}, nil
}

// Register makes the workers do the jobs.
func (x *Indexer) Register(workers *jobs.Workers) error {
	return errors.Join(
		jobs.Handle(workers, x.work, jobs.WorkOptions{Timeout: indexTimeout}),
		jobs.Handle(workers, x.sweep, jobs.WorkOptions{}),
	)
}

// work indexes, and leaves what became of it with the document. A document that
// cannot be read is no failed job: the answer is the document's.
func (x *Indexer) work(ctx context.Context, scope postgres.Scope, job jobs.Job[Index]) error {
	err := x.index(ctx, scope, job.Args.DocumentID)
	if err == nil {
		return nil
	}
	f := fault.From(err)
	if unreadable(f) {
		return x.fail(ctx, scope, job.Args.DocumentID, f)
	}
	// Under this reason the queue tries again, whatever the cause: it would give
	// up at once on some, and leave the document PROCESSING for ever.
	f = indexingFailed(err).WithRetryAfter(f.RetryAfter())
	if job.LastAttempt() {
		return errors.Join(f, x.fail(ctx, scope, job.Args.DocumentID, f))
	}
	return f
}

// fail tells the document's owner. It must be written also when the run's own
// time is over, as no other run would.
func (x *Indexer) fail(ctx context.Context, scope postgres.Scope, documentID string, f *fault.Fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	return x.store.fail(ctx, scope, documentID, f.Name(), f.Detail(), x.clock.Now())
}

func (x *Indexer) index(ctx context.Context, scope postgres.Scope, documentID string) error {
	d, ok, err := x.store.begin(ctx, scope, documentID, x.clock.Now())
	if err != nil || !ok {
		return err
	}
	memory, err := x.budget.index(ctx, int(d.SizeBytes))
	if err != nil {
		return err
	}
	defer memory.leave()
	doc, ok, err := x.read(ctx, d)
	if err != nil || !ok {
		return err
	}
	passages := passagesOf(d.Title, doc)
	// Embedding takes by far the longest, and holds no more than this.
	memory.keep(sizeOf(doc, passages))
	if ok, err := x.embed(ctx, d, passages); err != nil || !ok {
		return err
	}
	return x.store.finish(ctx, d, doc.Text, x.embedder.Version(), passages, x.clock.Now())
}

// read returns the text of a document. It reports false when the document was
// deleted in the meantime.
func (x *Indexer) read(ctx context.Context, d Document) (parse.Document, bool, error) {
	spool, err := newSpool(x.spool)
	if err != nil {
		return parse.Document{}, false, err
	}
	defer spool.close()
	if ok, err := x.store.source(ctx, d, spool); err != nil || !ok {
		return parse.Document{}, false, err
	}
	doc, err := parse.From(ctx, d.ContentType, spool.file, spool.size, parse.DefaultLimits())
	return doc, err == nil, err
}

func passagesOf(title string, doc parse.Document) []passage {
	chunks := split.Split(doc.Text, split.Options{Markdown: doc.Markdown})
	out := make([]passage, len(chunks))
	for i, c := range chunks {
		out[i] = passage{
			text:     c.Text,
			headings: strings.Join(append([]string{title}, c.Headings...), "\n"),
			start:    c.StartOffset,
			end:      c.EndOffset,
		}
	}
	return out
}

// sizeOf is how much memory a text takes with its passages and their vectors, in bytes.
func sizeOf(doc parse.Document, passages []passage) int {
	size := len(doc.Text)
	for _, p := range passages {
		size += len(p.headings) + migrations.Dimensions*4 // the text is the document's
	}
	return size
}

// embed gives each passage its vector, batch by batch, and stops early, with
// false, when the document is not waiting anymore.
func (x *Indexer) embed(ctx context.Context, d Document, passages []passage) (bool, error) {
	for first := 0; first < len(passages); first += embedBatch {
		done := parsed + (1-parsed)*float64(first)/float64(len(passages))
		if ok, err := x.store.progress(ctx, d, done, x.clock.Now()); err != nil || !ok {
			return false, err
		}
		batch := passages[first:min(first+embedBatch, len(passages))]
		texts := make([]string, len(batch))
		for i, p := range batch {
			texts[i] = p.headings + "\n" + p.text
		}
		vectors, err := x.embedder.Embed(ctx, texts)
		if err != nil {
			return false, err
		}
		if len(vectors) != len(batch) {
			return false, fmt.Errorf("embedder %s: %d vectors for %d texts", x.embedder.Version(), len(vectors), len(batch))
		}
		for i := range batch {
			batch[i].vector = vectors[i]
		}
	}
	return true, nil
}
