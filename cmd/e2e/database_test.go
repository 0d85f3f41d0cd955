package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"

	"github.com/gatehouse/gatehouse/cmd/internal/process"
	"github.com/gatehouse/gatehouse/platform/pgtest"
)

// reportedWithin is how long it may take until the product says that its
// database is away, or back.
const reportedWithin = 60 * time.Second

// S58: databaseRestart stops and starts Postgres while users work and an answer
// streams.
func databaseRestart(t *testing.T, s shape) {
	cluster := pgtest.NewCluster(t, process.Migrations()...)
	i := startOn(t, s, cluster.URL())
	c := i.newUser(t)
	question, gate, conversationID := t.Name(), make(chan struct{}), c.conversation()
	i.model.script(question, modelstub.Reply{Text: words(60), Hold: gate, HoldAfter: 20})
	reader := c.ask(conversationID, question, stubModel)
	seen := reader.readDeltas(5)

	w := startWorkload(t, i)
	w.wait("users work", func() bool { return w.created > 5 })
	cluster.Stop(t)
	w.wait("users are told to retry", func() bool { return w.refused > 5 })
	for _, name := range s.names(databasePart) {
		eventually(t, name+" says that its database is away", reportedWithin, func() bool {
			status, body := i.getOps(t, name, "/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, `"database":{"status":"down"`)
		})
		if status, _ := i.getOps(t, name, "/livez"); status != http.StatusOK {
			t.Errorf("%s counts as dead while its database is away: %d", name, status)
		}
	}
	close(gate) // the model goes on meanwhile

	cluster.Start(t)
	for _, name := range s.names(everyPart) {
		i.waitReady(t, name)
	}
	before := w.total()
	w.wait("users work again", func() bool { return w.created > before+5 })
	w.stop()
	w.checkStored()
	runID, last := seen[0].event.GetRunId(), len(seen)
	eventually(t, "the run ends", settledWithin, func() bool { return c.run(runID).State == chatv1.Run_COMPLETED.String() })
	checkStored(t, c, conversationID, append(seen, c.follow(runID, last).readAll()...), chatv1.Run_COMPLETED)
}

// workload are users who create things, one after the other, and note what the
// product acknowledged.
type workload struct {
	t    *testing.T
	c    *client
	done chan struct{}
	wg   sync.WaitGroup

	mu               sync.Mutex
	created, refused int
	kept             map[string][]string // ids by list
}

const (
	workers   = 3
	workPause = 10 * time.Millisecond
)

// startWorkload has users at work until stop.
func startWorkload(t *testing.T, i *installation) *workload {
	t.Helper()
	w := &workload{t: t, c: i.newUser(t), done: make(chan struct{}), kept: map[string][]string{}}
	for n := range workers {
		w.wg.Go(func() {
			tick := time.NewTicker(workPause)
			defer tick.Stop()
			for m := 0; ; m++ {
				select {
				case <-tick.C:
					w.create([]string{"assistants", "collections"}[m%2], fmt.Sprintf("%d/%d", n, m))
				case <-w.done:
					return
				}
			}
		})
	}
	t.Cleanup(w.stop)
	return w
}

func (w *workload) create(list, name string) {
	a, err := w.c.attempt(request{
		method: http.MethodPost, path: "/v1/" + list, contentType: "application/json", body: fmt.Appendf(nil, `{"displayName":%q}`, name),
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.t.Errorf("a connection broke: %v", err)
	case a.status == http.StatusOK:
		w.created++
		w.kept[list] = append(w.kept[list], createdID(a))
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" &&
		a.header.Get("Content-Type") == "application/problem+json":
		w.refused++
	default:
		w.t.Errorf("%s: %d %v %s", a.to.path, a.status, a.header, a.body)
	}
}

// createdID is the id of what was created; any goroutine may ask.
func createdID(a answer) string {
	_, after, _ := strings.Cut(string(a.body), `"id":"`)
	id, _, _ := strings.Cut(after, `"`)
	return id
}

func (w *workload) wait(what string, holds func() bool) {
	w.t.Helper()
	eventually(w.t, what, reportedWithin, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return holds()
	})
}

func (w *workload) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.created
}

func (w *workload) stop() {
	w.mu.Lock()
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// checkStored finds everything again that was acknowledged.
func (w *workload) checkStored() {
	w.t.Helper()
	for list, ids := range w.kept {
		found := w.c.listed(list)
		for _, id := range ids {
			if !found[id] {
				w.t.Errorf("%s %s was acknowledged and does not exist", list, id)
			}
		}
	}
}

// listed are the ids of a whole list.
func (c *client) listed(list string) map[string]bool {
	c.t.Helper()
	found, token := map[string]bool{}, ""
	for {
		a := c.get("/v1/" + list + "?pageSize=100&pageToken=" + token)
		var page map[string]any
		a.decode(&page)
		items, _ := page[list].([]any)
		for _, item := range items {
			fields, _ := item.(map[string]any)
			id, _ := fields["id"].(string)
			found[id] = true
		}
		if token, _ = page["nextPageToken"].(string); token == "" {
			return found
		}
	}
}
