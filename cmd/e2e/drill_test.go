package e2e_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// The length of the drills: make test runs a few rounds, make drill runs many.
var (
	rounds = flag.Int("rounds", 10, "how often the runs' process is killed under open streams")
	outage = flag.Duration("outage", 20*time.Second, "how long the process or the database is away; longer than a lease")
)

const (
	// drillUsers is how many users share the streams, so that none of them has
	// too many runs.
	drillUsers = 4
	// drillLasts bounds the time of one drill.
	drillLasts = 80 * time.Minute
	// roundsPerUser is after how many rounds new users take over, because
	// tokens expire.
	roundsPerUser = 20
)

// fourParts returns the shape in which the process of the runs can be killed
// alone.
func fourParts() shape { return shapes()[1].asShipped() }

// drillContext returns a context that ends with the test, or when a drill has
// taken too long.
func drillContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drillLasts)
	t.Cleanup(cancel)
	return ctx
}

// newDrillUsers returns users who share the streams of a drill.
func newDrillUsers(t *testing.T, i *installation) []*client {
	t.Helper()
	out := make([]*client, drillUsers)
	for n := range out {
		out[n] = i.newUser(t)
	}
	return out
}

// manyFollowed starts as many runs as a drill has streams, with a follower each.
func manyFollowed(ctx context.Context, users []*client, question string) []*follower {
	out := make([]*follower, openStreams)
	for n := range out {
		out[n] = users[n%len(users)].followed(ctx, question)
	}
	return out
}

// The runs' process is killed again and again while 20 readers follow it. In every
// second round the folder with its journal is lost as well, as with a container that
// has no volume. Every reader sees an end, no number is used for two events, and
// stored events stay. With the journal, all events that a reader has seen stay too.
func TestDrillKilledUnderStreams(t *testing.T) {
	t.Parallel()
	i, ctx := start(t, fourParts()), drillContext(t)
	question := t.Name()
	i.model.script(question, modelstub.Reply{Text: words(100_000), TokenDelay: 5 * time.Millisecond})
	var users []*client
	var pending []*follower // of rounds without a journal
	for round := range *rounds {
		if round%roundsPerUser == 0 {
			users = newDrillUsers(t, i)
		}
		readers := manyFollowed(ctx, users, question)
		for _, reader := range readers {
			reader.await(t, 3+rand.IntN(20))
		}
		i.kill(t, "chat")
		stored := storedEvents(t, i, readers)
		lost := round%2 == 1
		if lost {
			if err := os.RemoveAll(filepath.Join(i.dir, "runs")); err != nil {
				t.Fatal(err)
			}
		}
		i.up(t, "chat")
		checkStays(t, i, stored)
		// Readers of a round with a journal see its end now. The others see it when the
		// lease expires, some rounds later, and reconnect after each kill until then.
		if lost {
			pending = append(pending, readers...)
		} else {
			checkReaders(ctx, t, readers, false)
		}
	}
	checkReaders(ctx, t, pending, true)
}

func checkReaders(ctx context.Context, t *testing.T, readers []*follower, lost bool) {
	t.Helper()
	for _, reader := range readers {
		reader.check(ctx, t, lost)
	}
}

// storedEvents returns the events of runs that the database has, by run and
// number.
func storedEvents(t *testing.T, i *installation, readers []*follower) map[string]string {
	t.Helper()
	runs := make([]string, len(readers))
	for n, reader := range readers {
		runs[n] = reader.runID
	}
	out := map[string]string{}
	for _, row := range i.database.AdminQuery(t, "SELECT run_id || ' ' || seq, encode(payload, 'hex') FROM chat.run_events WHERE run_id = ANY($1)", runs) {
		out[row[0]] = row[1]
	}
	return out
}

// checkStays finds stored events that were lost or changed.
func checkStays(t *testing.T, i *installation, before map[string]string) {
	t.Helper()
	for _, row := range i.database.AdminQuery(t, "SELECT run_id || ' ' || seq, encode(payload, 'hex') FROM chat.run_events") {
		if payload, ok := before[row[0]]; ok {
			if payload != row[1] {
				t.Errorf("the stored event %s was changed", row[0])
			}
			delete(before, row[0])
		}
	}
	for event := range before {
		t.Errorf("the stored event %s does not exist", event)
	}
}

// The runs' process stands still for longer than a lease, as on a machine that was
// suspended, and goes on. No other process has taken over its runs, so it keeps
// them.
func TestDrillStalledAlone(t *testing.T) {
	t.Parallel()
	i, ctx := start(t, fourParts()), drillContext(t)
	question, gate := t.Name(), make(chan struct{})
	i.model.script(question, modelstub.Reply{Text: words(300), TokenDelay: 2 * time.Millisecond, Hold: gate, HoldAfter: 30})
	readers := manyFollowed(ctx, newDrillUsers(t, i), question)
	for _, reader := range readers {
		reader.await(t, 10)
	}
	i.children["chat"].signal(t, syscall.SIGSTOP)
	<-time.After(*outage)
	i.children["chat"].signal(t, syscall.SIGCONT)
	close(gate)
	checkReaders(ctx, t, readers, false)
}

// The runs' process stands still for longer than a lease, and another one ends its
// runs. When it goes on, its own readers see the end that the other one wrote.
func TestDrillStalledAndTakenOver(t *testing.T) {
	t.Parallel()
	i, ctx := start(t, withSecondChat(t)), drillContext(t)
	question := t.Name()
	i.model.script(question, modelstub.Reply{Text: words(100_000), TokenDelay: 5 * time.Millisecond})
	readers := manyFollowed(ctx, newDrillUsers(t, i), question)
	for _, reader := range readers {
		reader.await(t, 10)
	}
	i.children["chat"].signal(t, syscall.SIGSTOP)
	// Readers at the other gateway see the end while the first process stands still.
	second := "http://" + i.shape.parts[len(i.shape.parts)-1].gateway
	others := make([]*follower, len(readers))
	for n, reader := range readers {
		c := reader.c.reconnected()
		c.base = second
		others[n] = &follower{c: c, conversationID: reader.conversationID, runID: reader.runID, done: make(chan struct{}), seen: reader.seenNow()}
		others[n].begin(ctx)
	}
	for _, other := range others {
		<-other.done
	}
	i.children["chat"].signal(t, syscall.SIGCONT)
	checkReaders(ctx, t, readers, true)
	checkReaders(ctx, t, others, true)
}

// seenNow returns a copy of what the follower has seen so far.
func (f *follower) seenNow() []frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]frame(nil), f.seen...)
}

// withSecondChat returns the shape of four parts, with a second chat behind a
// second gateway.
func withSecondChat(t *testing.T) shape {
	t.Helper()
	s := fourParts()
	s.name = "six processes"
	chat, gateway := freeAddress(t), freeAddress(t)
	s.parts = append(s.parts,
		part{name: "second chat", program: "chat", environment: []string{"GATEHOUSE_CHAT_ADDR=" + chat, "GATEHOUSE_DATA_DIR=" + t.TempDir()}},
		part{
			name: "second gateway", program: "gateway", gateway: gateway,
			environment: []string{"GATEHOUSE_CHAT_ADDR=" + chat, "GATEHOUSE_GATEWAY_ADDR=" + gateway},
		})
	return s
}

// The database is away for longer than a lease while 20 answers stream. The answers go
// on, and their readers miss nothing.
func TestDrillDatabaseOutage(t *testing.T) {
	t.Parallel()
	cluster, ctx := pgtest.NewCluster(t, process.Migrations()...), drillContext(t)
	i := startOn(t, fourParts(), cluster.URL())
	question := t.Name()
	i.model.script(question, modelstub.Reply{Text: words(600), TokenDelay: 50 * time.Millisecond})
	readers := manyFollowed(ctx, newDrillUsers(t, i), question)
	for _, reader := range readers {
		reader.await(t, 10)
	}
	cluster.Stop(t)
	<-time.After(*outage)
	cluster.Start(t)
	checkReaders(ctx, t, readers, false)
	for _, reader := range readers {
		if last := reader.seen[len(reader.seen)-1]; last.name != "run.completed" {
			t.Errorf("run %s ended with %s", reader.runID, last.name)
		}
	}
}
