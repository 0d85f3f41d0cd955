package e2e_test

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// stubModel is the model that a message names when its scenario directs it.
const stubModel = "openai/stub"

// director is a model server that many scenarios share: what it answers goes by
// the question.
type director struct {
	url string

	mu      sync.Mutex
	scripts map[string]*scene
}

// scene is how one question is answered.
type scene struct {
	replies []modelstub.Reply
	asked   int
}

func newDirector(t *testing.T) *director {
	t.Helper()
	d := &director{scripts: map[string]*scene{}}
	server := httptest.NewServer(modelstub.New(modelstub.Options{Default: d.respond}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// script says how a question is answered: a reply for each time that it comes,
// the last one for all further times.
func (d *director) script(question string, replies ...modelstub.Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scripts[question] = &scene{replies: replies}
}

// callCount tells how often a question came.
func (d *director) callCount(question string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scripts[question].asked
}

func (d *director) respond(req modelstub.Request) modelstub.Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	for question, s := range d.scripts {
		if strings.Contains(req.LastUser(), question) {
			s.asked++
			return s.replies[min(s.asked, len(s.replies))-1]
		}
	}
	return modelstub.Echo(16, 0)(req)
}

// words is an answer of n tokens that tell where they stand in it.
func words(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "w" + strings.Repeat("o", i%7) + "rd "
	}
	return out
}
