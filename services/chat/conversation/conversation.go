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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

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

// CheckEtag refuses a change that builds on another state than the present
// one. An empty etag builds on whatever stands.
func (c Conversation) CheckEtag(etag string) error {
	if etag != "" && etag != c.Etag() {
		return fault.New(faultv1.Reason_REASON_ETAG_MISMATCH, "the conversation changed since it was read")
	}
	return nil
}

// Apply returns c with the fields of the mask taken from the patch.
func (c Conversation) Apply(patch Conversation, mask []string) (Conversation, error) {
	for _, path := range mask {
		switch path {
		case "title":
			c.Title = patch.Title
		case "assistant_id":
			c.AssistantID = patch.AssistantID
		case "collection_ids":
			c.CollectionIDs = slices.Clone(patch.CollectionIDs)
		default:
			return c, fault.Invalid("updateMask", "%q is not a field that can be changed", path)
		}
	}
	return c, c.Validate()
}

// Validate checks what the contract cannot say.
func (c Conversation) Validate() error {
	if strings.ContainsRune(c.Title, 0) {
		return fault.Invalid("conversation.title", "must not hold the character NUL")
	}
	return nil
}

// filled names the fields of a patch that say something: the mask of an
// update that came without one.
func filled(patch Conversation) []string {
	var mask []string
	if patch.Title != "" {
		mask = append(mask, "title")
	}
	if patch.AssistantID != "" {
		mask = append(mask, "assistant_id")
	}
	if len(patch.CollectionIDs) > 0 {
		mask = append(mask, "collection_ids")
	}
	return mask
}
