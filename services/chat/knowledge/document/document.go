// Package document is the room of documents: what answers are drawn from.
//
// A document is taken in by [Service]: its bytes, its row and the job that
// indexes it are stored in one transaction, so no document waits for a job that
// was lost. [Indexer] does that job: it parses the bytes to text, splits the
// text, embeds the passages batch by batch with progress that a client sees, and
// stores text and passages in one transaction that makes the document READY. A
// document is searchable as a whole or not at all.
//
//	PENDING → PROCESSING → READY
//	              ↓
//	            FAILED     with a reason and a sentence for a person
//
// A document that cannot be read fails at once: trying again would not change
// it. Anything else is tried again, and fails as DOCUMENT_INDEXING_FAILED when
// the attempts are used up. Indexing may run twice for one document, at the same
// time even, and leaves it as if it had run once; of a document that was deleted
// meanwhile, nothing remains.
package document

import (
	"mime"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

// State says how far the indexing of a document is.
type State string

// The states, spelled as in the contract.
const (
	Pending    State = "PENDING"
	Processing State = "PROCESSING"
	Ready      State = "READY"
	Failed     State = "FAILED"
)

// Document is a text that answers are drawn from.
type Document struct {
	OrganizationID string
	ID             string
	CollectionID   string
	Title          string
	ContentType    string
	SizeBytes      int64
	State          State
	Progress       float64
	FailureReason  string
	FailureMessage string
	Revision       int64
	CreateTime     time.Time
	UpdateTime     time.Time
}

// Etag changes with each update.
func (d Document) Etag() string { return strconv.FormatInt(d.Revision, 36) }

// Validate checks what the contract cannot say. The field names the title in the
// request at hand.
func (d Document) Validate(field string) error {
	if strings.TrimSpace(d.Title) == "" {
		return fault.Invalid(field, "must not be empty")
	}
	// Postgres cannot store the character in text.
	if strings.ContainsRune(d.Title, 0) {
		return fault.Invalid(field, "must not hold the character NUL")
	}
	if strings.ContainsRune(d.ContentType, 0) {
		return fault.Invalid("contentType", "must not hold the character NUL")
	}
	return nil
}

// CheckSize refuses more bytes than a document may have.
func CheckSize(size int) error {
	if limit := parse.DefaultLimits().Bytes; size > limit {
		return sizeFault(limit)
	}
	return nil
}

func sizeFault(limit int) error {
	return fault.New(faultv1.Reason_REASON_DOCUMENT_TOO_LARGE, "the document is larger than %d MiB", limit>>20)
}

// ContentType is the media type of a file by its name. A name without an
// ending is taken for text, which parsing will contradict where it is not.
func ContentType(fileName string) string {
	switch ending := strings.ToLower(path.Ext(fileName)); ending {
	case "", ".", ".txt", ".text", ".log":
		return parse.TypeText
	case ".md", ".markdown":
		return parse.TypeMarkdown
	case ".html", ".htm":
		return parse.TypeHTML
	default:
		if byEnding := mime.TypeByExtension(ending); byEnding != "" {
			return byEnding
		}
		return "application/octet-stream"
	}
}

// TitleOf is the title of an uploaded file: the one given, else the file's name
// without folders, whichever system's.
func TitleOf(title, fileName string) string {
	if strings.TrimSpace(title) != "" {
		return title
	}
	return fileName[strings.LastIndexAny(fileName, `/\`)+1:]
}

// unreadable tells whether a fault says that the document itself cannot be
// read, whatever is tried.
func unreadable(f *fault.Fault) bool {
	switch f.Reason() {
	case faultv1.Reason_REASON_DOCUMENT_EMPTY, faultv1.Reason_REASON_DOCUMENT_BINARY,
		faultv1.Reason_REASON_DOCUMENT_ENCODING, faultv1.Reason_REASON_DOCUMENT_TOO_LARGE,
		faultv1.Reason_REASON_DOCUMENT_UNSUPPORTED_TYPE, faultv1.Reason_REASON_DOCUMENT_MALFORMED:
		return true
	default:
		return false
	}
}
