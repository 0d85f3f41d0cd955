// Package conversation is the room of conversations and of their messages.
//
//	conversation.go   the types and their rules, without a database or an RPC
//	service.go        the RPCs
//	codec.go          between the type and the contract
//	store.go          the queries of conversations
//	store_message.go  the queries of messages
//	store_erase.go    erasure
//
// A conversation belongs to the user who created it. Other users receive NOT_FOUND, also
// the owners of the organization. Each query has the user as a condition, and row level
// security checks it again.
//
// A message is answered by a run, and runs are another room. This room uses it through
// the interface [Messenger], so that it needs neither models nor goroutines of its own.
// Deleting a conversation deletes its runs with it. A process that executes such a run
// learns at its next write that the run is deleted, and stops.
package conversation

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// resourceType is the name of a conversation in faults.
const resourceType = "conversation"

// Conversation is an exchange between a user and an assistant.
type Conversation struct {
	OrganizationID  string
	UserID          string
	ID              string `db:"id"`
	Title           string `db:"title"`
	AssistantID     string
	CollectionIDs   []string
	Revision        int64
	CreateTime      time.Time `db:"created_at"`
	UpdateTime      time.Time `db:"updated_at"`
	LastMessageTime *time.Time
	// Active is the live run, or nil.
	Active *ActiveRun
}

// ActiveRun is the part of a live run that its conversation shows.
type ActiveRun struct {
	ID      string
	State   chatv1.Run_State
	LastSeq int32
}

// Etag changes with each update.
func (c Conversation) Etag() string { return strconv.FormatInt(c.Revision, 36) }

// fields are the fields that a client may change, by their names in the contract.
var fields = patch.Fields[Conversation]{ //nolint:gochecknoglobals // a constant table
	"title":          patch.At(func(c *Conversation) *string { return &c.Title }),
	"assistant_id":   patch.At(func(c *Conversation) *string { return &c.AssistantID }),
	"collection_ids": patch.At(func(c *Conversation) *[]string { return &c.CollectionIDs }),
}

// Apply returns c with the fields of the mask taken from the patch.
func (c Conversation) Apply(patch Conversation, mask []string) (Conversation, error) {
	after, err := fields.Apply(c, patch, mask)
	if err != nil {
		return c, err
	}
	return after, after.Validate()
}

// Validate checks what the contract cannot.
func (c Conversation) Validate() error {
	if strings.ContainsRune(c.Title, 0) {
		return fault.Invalid("conversation.title", "must not contain the character NUL")
	}
	return nil
}
