// Package conversation is the room of conversations and of their messages.
//
//	conversation.go  the types and their rules, without a database or an RPC
//	store.go         the queries of conversations
//	store_message.go       messages: their queries and their form in the contract
//	service.go       the RPCs: decode, call, encode
//
// A conversation belongs to the user who made it, and to nobody else: others,
// the owners of the organization too, get NOT_FOUND. Each query asks for the
// user, and row level security asks once more.
//
// What answers a message is a run, and runs are another room. This one knows
// it by the interface [Messenger], so that it needs neither models nor
// goroutines of its own. Deleting a conversation deletes its runs with it; the
// process that executes one notices at its next write that there is nothing
// left to write to, and stops.
package conversation

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/patch"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// resourceType is what faults call a conversation.
const resourceType = "conversation"

// Conversation is an exchange between a user and an assistant.
type Conversation struct {
	OrganizationID  string
	UserID          string
	ID              string
	Title           string
	AssistantID     string
	CollectionIDs   []string
	Revision        int64
	CreateTime      time.Time
	UpdateTime      time.Time
	LastMessageTime *time.Time
	// Active is the run that is answering now, or nil.
	Active *ActiveRun
}

// ActiveRun is what a conversation tells of its live run.
type ActiveRun struct {
	ID      string
	State   chatv1.Run_State
	LastSeq int32
}

// Etag changes with each update.
func (c Conversation) Etag() string { return strconv.FormatInt(c.Revision, 36) }

// fields are those that a client may change, by their names in the contract.
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

// Validate checks what the contract cannot say.
func (c Conversation) Validate() error {
	if strings.ContainsRune(c.Title, 0) {
		return fault.Invalid("conversation.title", "must not hold the character NUL")
	}
	return nil
}
