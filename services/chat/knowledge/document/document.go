// Package document is the room of documents, the texts that answers are based on.
//
// [Service] stores a document: its bytes, its row and the job that indexes it, in one
// transaction, so that no document waits for a lost job. [Indexer] executes the job. It
// converts the bytes to text, splits the text into chunks, and embeds the chunks in batches;
// clients see the progress. Then it stores the text and the chunks in one transaction, which
// makes the document READY. So a search finds all chunks of a document or none.
//
//	PENDING → PROCESSING → READY
//	              ↓
//	            FAILED     with a reason and a sentence for a person
//
// A document that cannot be read fails at once, because a retry would not change it. Other
// failures are retried. When no attempt is left, the document fails as
// DOCUMENT_INDEXING_FAILED. Two jobs may index the same document, even at the same time,
// with the result of one. Nothing remains of a document that is deleted while it is
// indexed.
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

// State is the state of a document's indexing.
type State string

// The states have their names in the contract.
const (
	Pending    State = "PENDING"
	Processing State = "PROCESSING"
	Ready      State = "READY"
	Failed     State = "FAILED"
)

// Document is a text that answers are based on.
type Document struct {
	OrganizationID string
	ID             string `db:"id"`
	CollectionID   string
	Title          string `db:"title"`
	ContentType    string
	SizeBytes      int64
	State          State
	Progress       float64
	FailureReason  string
	FailureMessage string
	Revision       int64
	CreateTime     time.Time `db:"created_at"`
	UpdateTime     time.Time `db:"updated_at"`
}

// Etag changes with each update.
func (d Document) Etag() string { return strconv.FormatInt(d.Revision, 36) }

// Validate checks what the contract cannot. field is the name of the title's field in the
// request.
func (d Document) Validate(field string) error {
	if strings.TrimSpace(d.Title) == "" {
		return fault.Invalid(field, "must not be empty")
	}
	// Postgres cannot store the character in text.
	if strings.ContainsRune(d.Title, 0) {
		return fault.Invalid(field, "must not contain the character NUL")
	}
	if strings.ContainsRune(d.ContentType, 0) {
		return fault.Invalid("contentType", "must not contain the character NUL")
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

// ContentType returns the media type of a file by its name. A file without an extension
// counts as text; parsing fails when it is not.
func ContentType(fileName string) string {
	switch extension := strings.ToLower(path.Ext(fileName)); extension {
	case "", ".", ".txt", ".text", ".log":
		return parse.TypeText
	case ".md", ".markdown":
		return parse.TypeMarkdown
	case ".html", ".htm":
		return parse.TypeHTML
	default:
		if known := mime.TypeByExtension(extension); known != "" {
			return known
		}
		return "application/octet-stream"
	}
}

// TitleOf returns the title of an uploaded file: the given title, or else the file's name
// without folders. Folders may be those of any operating system.
func TitleOf(title, fileName string) string {
	if strings.TrimSpace(title) != "" {
		return title
	}
	return fileName[strings.LastIndexAny(fileName, `/\`)+1:]
}

// unreadable reports whether a fault is about the document itself, so that a retry would
// fail too.
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
