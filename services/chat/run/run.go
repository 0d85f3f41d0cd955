// Package run is the room of runs. A run is one generation of an answer: a log of
// numbered events that any number of readers follow, from any position, on any replica.
//
//	run.go            the run
//	event.go          its events and its answer, in the form of the contract
//	service.go        the RPCs
//	ticket.go         the RPC that issues tickets
//	planner.go        how a message is answered, and what the caller may use for it
//	manager.go        joins the parts that follow, starts them and stops them
//	config.go         what an installation sets, and the defaults
//	live.go           the log of one run that this process writes
//	liveset.go        all such logs of the process
//	starter.go        the transaction that begins a run
//	gate.go           bounds how many starts use the database at once
//	executor.go       executes runs, from the first event to the last
//	batcher.go        groups new events into writes
//	batch.go          one such write
//	sweeper.go        ends the runs of lost processes
//	recovery.go       stores the events in the journals of lost processes
//	journal.go        the events that readers have seen and the database has not
//	watcher.go        sends events to readers
//	subscriptions.go  wakes readers when events were stored
//	store*.go         queries
//
// # Start
//
// A run is stored in the transaction that stores the user's message. It is executed
// detached from the request, so it continues when its readers leave. A partial unique
// index allows one live run in each conversation.
//
// # The log
//
// The process that executes a run is the only writer of its log, so it numbers the events
// itself, from 1. It reserves the numbers in the database, a block beyond the stored
// events, and shows readers no event past the reservation. The process that ends the run
// of a lost process numbers the end past it (decision 0021). So no number is used for two
// events, and a gap is possible only directly before run.interrupted. Readers in the same
// process read from its memory, without waiting for the database. Each 50 ms one statement
// stores the new events of all runs of the process, with one notification for all. Readers
// see the terminal event only when it is stored, together with the message and the run's
// state, so that a reader finds both afterwards.
//
// A process that is killed loses its memory: up to a batch of events that its readers have
// seen. So each event is first written to a file, the journal, which survives the process.
// The next process on the machine stores the journal's events.
//
// Readers pull from the log by position. So a slow reader delays no other, and there is no
// queue that could overflow.
//
// # Ownership
//
// A run has an owner, an attempt, and a lease that is renewed with the writes. The database
// drops writes under another owner or attempt, and the writer stops. When the lease has
// expired, any process may claim the run, which raises the attempt, and end it as
// INTERRUPTED with the stored text. The run is not executed again, because its tools may
// have had effects.
//
// # Locks
//
// Each type states its own rules. Locks are taken in this order: batcher.ownership,
// liveRuns.mu or liveRun.mu, journal.mu. No lock is held while a reader is served, and only
// batcher.ownership is held during a query.
package run

import (
	"crypto/sha256"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// resourceType is the name of a run in faults.
const resourceType = "run"

// Run is one generation of an answer, as it is stored.
type Run struct {
	ID              string
	ConversationID  string
	UserMessageID   string
	MessageID       string
	State           chatv1.Run_State
	LastSeq         int32
	CancelRequested bool
	RequestHash     []byte
	Problem         *faultv1.Problem
	Usage           *chatv1.Usage
	CreateTime      time.Time
	UpdateTime      time.Time
	Finished        bool
	// MissingCollectionIDs and MissingAssistantID are the deleted resources that the
	// run skipped.
	MissingCollectionIDs []string
	MissingAssistantID   string
}

// idempotencyKey is the key of a request that starts a run. A request without a key has an
// empty value.
type idempotencyKey struct {
	value       string
	requestHash []byte
}

// hash distinguishes requests that use the same idempotency key.
func hash(req *chatv1.SendMessageRequest) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}
