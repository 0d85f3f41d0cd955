package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// question has as many different words as an answer may repeat; the stub
// answers with them.
const question = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"

// pace is how the stub answers.
type pace struct {
	tokens int
	// first is waited before the first token, between before each other.
	first, between time.Duration
}

// model is the stub of a model server, in this process: its clock is then the
// reader's, and moments of the two can be compared.
type model struct {
	stub   *modelstub.Server
	server *httptest.Server
	url    string
	pace   atomic.Pointer[pace]
}

// serveModel serves the stub on the loopback until close.
func serveModel() *model {
	m := &model{}
	m.set(pace{tokens: 16})
	m.stub = modelstub.New(modelstub.Options{Default: func(req modelstub.Request) modelstub.Reply {
		p := *m.pace.Load()
		reply := modelstub.Echo(p.tokens, p.between)(req)
		reply.FirstDelay = p.first
		return reply
	}})
	m.server = httptest.NewServer(m.stub)
	m.url = m.server.URL + "/v1"
	return m
}

func (m *model) close() { m.server.Close() }

// set decides how the stub answers from now on.
func (m *model) set(p pace) { m.pace.Store(&p) }

// firstToken is when the stub wrote the first token of the answer that was asked
// for last. The stub notes an answer when it has finished it, which may be after
// its reader has.
func (m *model) firstToken(ctx context.Context, asked time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		timings := m.stub.Timings()
		if n := len(timings); n > 0 && timings[n-1].Received.After(asked) {
			return timings[n-1].FirstToken, nil
		}
		if err := clock.Sleep(ctx, clock.System(), time.Millisecond); err != nil {
			return time.Time{}, errors.New("the stub never answered")
		}
	}
}

// read follows one answer of the stub itself and counts its tokens: what there
// is to read before the product has done anything.
func (m *model) read(ctx context.Context, client *http.Client) (answer, error) {
	var out answer
	body := `{"model":"stub","stream":true,"messages":[{"role":"user","content":"` + question + `"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+"/chat/completions", strings.NewReader(body))
	if err != nil {
		return out, err
	}
	out.asked = clock.System().Now()
	resp, err := client.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("the stub answers %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"delta":{"content":`)) {
			continue
		}
		if out.tokens++; out.tokens == 1 {
			out.first = clock.System().Now()
		}
	}
	out.ended = clock.System().Now()
	return out, lines.Err()
}
