package document

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/deps"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/jobs"
	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/embed"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

const (
	// indexTimeout bounds one attempt: the largest document with a slow embedder.
	indexTimeout = 10 * time.Minute
	// failTimeout bounds the write of a failure, for which the attempt may have no time
	// left.
	failTimeout = 10 * time.Second
	// embedBatch is how many chunks are embedded between two updates of the progress.
	embedBatch = 64
	// parsed is the progress after the text is split. The rest is embedding.
	parsed = 0.1
)

// Index is the job that makes a document searchable.
type Index struct {
	jobs.Tenant
	DocumentID string `json:"documentId"`
}

// Kind implements jobs.Args.
func (Index) Kind() string { return "index_document" }

// IndexerDeps is what indexing needs.
type IndexerDeps struct {
	DB       *postgres.DB
	Embedder embed.Embedder
	Clock    clock.Clock
	// Budget bounds the memory of documents. The default is a new budget.
	Budget *Budget `deps:"optional"`
	// Spool is the folder for documents while they are read. The default is the system's
	// temporary folder.
	Spool string `deps:"optional"`
}

// Indexer executes the jobs of documents. It is safe for concurrent use.
type Indexer struct {
	deps  IndexerDeps
	store *indexStore
}

// NewIndexer returns an indexer. It refuses an embedder whose vectors the schema cannot
// store.
func NewIndexer(d IndexerDeps) (*Indexer, error) {
	if err := deps.Check("document", d); err != nil {
		return nil, err
	}
	if n := d.Embedder.Dimensions(); n != migrations.Dimensions {
		return nil, fmt.Errorf("document: embedder %s has %d dimensions, the schema stores %d",
			d.Embedder.Version(), n, migrations.Dimensions)
	}
	d.Budget = cmp.Or(d.Budget, NewBudget())
	return &Indexer{deps: d, store: &indexStore{db: d.DB}}, nil
}

// Register adds the jobs of documents to the workers.
func (x *Indexer) Register(workers *jobs.Workers) error {
	return errors.Join(
		jobs.Handle(workers, x.work, jobs.WorkOptions{Timeout: indexTimeout}),
		jobs.Handle(workers, x.sweep, jobs.WorkOptions{}),
	)
}

// work indexes a document and stores the result in its row. The job of a document that
// cannot be read succeeds: the document fails.
func (x *Indexer) work(ctx context.Context, scope postgres.Scope, job jobs.Job[Index]) error {
	err := x.index(ctx, scope, job.Args.DocumentID)
	if err == nil {
		return nil
	}
	f := fault.From(err)
	if unreadable(f) {
		return x.fail(ctx, scope, job.Args.DocumentID, f)
	}
	// The queue retries jobs that fail with this reason. With the reasons of some causes it
	// would give up at once and leave the document PROCESSING forever.
	f = indexingFailed(err).WithRetryAfter(f.RetryAfter())
	if job.LastAttempt() {
		return errors.Join(f, x.fail(ctx, scope, job.Args.DocumentID, f))
	}
	return f
}

// fail stores a failure in the document's row. It does so even when the attempt has no time
// left, because there may be no other attempt.
func (x *Indexer) fail(ctx context.Context, scope postgres.Scope, documentID string, f *fault.Fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	return x.store.fail(ctx, scope, documentID, f.Name(), f.Detail(), x.deps.Clock.Now())
}

func (x *Indexer) index(ctx context.Context, scope postgres.Scope, documentID string) error {
	d, ok, err := x.store.begin(ctx, scope, documentID, x.deps.Clock.Now())
	if err != nil || !ok {
		return err
	}
	memory, err := x.deps.Budget.index(ctx, int(d.SizeBytes))
	if err != nil {
		return err
	}
	defer memory.release()
	doc, ok, err := x.read(ctx, d)
	if err != nil || !ok {
		return err
	}
	chunks := chunksOf(d.Title, doc)
	// Embedding takes by far the longest, and uses no more than this.
	memory.shrink(sizeOf(doc, chunks))
	if ok, err := x.embed(ctx, d, chunks); err != nil || !ok {
		return err
	}
	return x.store.finish(ctx, d, doc.Text, x.deps.Embedder.Version(), chunks, x.deps.Clock.Now())
}

// read returns the text of a document. It reports false when the document was
// deleted in the meantime.
func (x *Indexer) read(ctx context.Context, d Document) (parse.Document, bool, error) {
	spool, err := newSpool(x.deps.Spool)
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

func chunksOf(title string, doc parse.Document) []chunk {
	parts := split.Split(doc.Text, split.Options{Markdown: doc.Markdown})
	out := make([]chunk, len(parts))
	for i, c := range parts {
		out[i] = chunk{
			text:     c.Text,
			headings: strings.Join(append([]string{title}, c.Headings...), "\n"),
			start:    c.StartOffset,
			end:      c.EndOffset,
		}
	}
	return out
}

// sizeOf returns the memory of a text with its chunks and their vectors, in bytes.
func sizeOf(doc parse.Document, chunks []chunk) int {
	size := len(doc.Text)
	for _, c := range chunks {
		size += len(c.headings) + migrations.Dimensions*4 // the chunk shares the text of the document
	}
	return size
}

// embed sets the vector of each chunk, batch by batch. It stops and reports false when the
// document no longer has to be indexed.
func (x *Indexer) embed(ctx context.Context, d Document, chunks []chunk) (bool, error) {
	for first := 0; first < len(chunks); first += embedBatch {
		done := parsed + (1-parsed)*float64(first)/float64(len(chunks))
		if ok, err := x.store.progress(ctx, d, done, x.deps.Clock.Now()); err != nil || !ok {
			return false, err
		}
		batch := chunks[first:min(first+embedBatch, len(chunks))]
		texts := make([]string, len(batch))
		for i, c := range batch {
			texts[i] = c.headings + "\n" + c.text
		}
		vectors, err := x.deps.Embedder.Embed(ctx, texts)
		if err != nil {
			return false, err
		}
		if len(vectors) != len(batch) {
			return false, fmt.Errorf("embedder %s: %d vectors for %d texts", x.deps.Embedder.Version(), len(vectors), len(batch))
		}
		for i := range batch {
			batch[i].vector = vectors[i]
		}
	}
	return true, nil
}
