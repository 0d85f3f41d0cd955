package modelstub

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
)

// maxRequestBytes is how many bytes of one request the stub reads.
const maxRequestBytes = 16 << 20

// defaultKeep is how many requests and timings a server keeps by default. A load program
// sends millions of requests, and the memory of the stub must not grow with them.
const defaultKeep = 1024

// Options configures a Server. The default responder is Echo(16, 0).
type Options struct {
	// Script is the first replies, in order.
	Script []Reply
	// Default makes the replies after the script; nil means Echo(16, 0).
	Default Responder
	// APIKey is the required bearer token. Requests without it receive 401. When it is
	// empty, none is required.
	APIKey string
	// Models is the list of GET /v1/models; empty means "stub".
	Models []string
	// Dimensions of the embeddings, 64 when zero.
	Dimensions int
	// ShuffleEmbeddings returns vectors in reverse order, each with its index, as servers
	// may do.
	ShuffleEmbeddings bool
	// Keep is how many requests and timings are kept; 1024 when zero.
	Keep int
	// Clock is used for times and delays; the system's clock when nil.
	Clock clock.Clock
}

// Server is the stub. It is an http.Handler and safe for concurrent use: mu guards the fields
// below it.
type Server struct {
	options Options
	mux     *http.ServeMux

	mu       sync.Mutex
	script   []Reply
	requests []Request
	timings  []Timing
}

var _ http.Handler = (*Server)(nil)

// New returns a server.
func New(options Options) *Server {
	if options.Default == nil {
		options.Default = Echo(16, 0)
	}
	if options.Keep == 0 {
		options.Keep = defaultKeep
	}
	if options.Dimensions == 0 {
		options.Dimensions = 64
	}
	if options.Clock == nil {
		options.Clock = clock.System()
	}
	if len(options.Models) == 0 {
		options.Models = []string{"stub"}
	}
	s := &Server{options: options, script: append([]Reply(nil), options.Script...), mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /v1/chat/completions", s.chat)
	s.mux.HandleFunc("POST /v1/embeddings", s.embeddings)
	s.mux.HandleFunc("GET /v1/models", s.models)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.options.APIKey != "" && r.Header.Get("Authorization") != "Bearer "+s.options.APIKey {
		writeError(w, http.StatusUnauthorized, Error{Message: "Incorrect API key provided.", Type: "invalid_request_error", Code: "invalid_api_key"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Enqueue appends replies to the script. Both chat and embeddings requests use it.
func (s *Server) Enqueue(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, replies...)
}

// Requests returns the received requests, oldest first. It returns the newest when there are
// more than Options.Keep.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Timings returns the timings of finished streams, oldest first. It returns the newest when
// there are more than Options.Keep.
func (s *Server) Timings() []Timing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Timing(nil), s.timings...)
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	data := make([]map[string]any, 0, len(s.options.Models))
	for _, name := range s.options.Models {
		data = append(data, map[string]any{"id": name, "object": "model", "created": 0, "owned_by": "modelstub"})
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	received := s.options.Clock.Now()
	req, ok := s.read(w, r)
	if !ok {
		return
	}
	reply, scripted := s.take()
	if !scripted {
		reply = s.options.Default(req)
	}
	if refuse(w, reply) {
		return
	}
	if !req.Stream {
		s.whole(w, r, req, reply)
		return
	}
	timing := Timing{Received: received}
	st := &stream{w: w, rc: http.NewResponseController(w), ctx: r.Context(), clock: s.options.Clock, req: req, reply: reply, timing: &timing}
	st.run()
	timing.Finished = s.options.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timings = keepLast(append(s.timings, timing), s.options.Keep)
}

// read parses and records a request. When it cannot, it writes the error and reports false.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (Request, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, Error{Message: "request too large", Type: "invalid_request_error"})
		return Request{}, false
	}
	req, err := parseRequest(r, body)
	if err != nil {
		writeError(w, http.StatusBadRequest, Error{Message: "could not parse the JSON body: " + err.Error(), Type: "invalid_request_error"})
		return Request{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = keepLast(append(s.requests, req), s.options.Keep)
	return req, true
}

// take removes the next reply from the script.
func (s *Server) take() (Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.script) == 0 {
		return Reply{}, false
	}
	reply := s.script[0]
	s.script = s.script[1:]
	return reply, true
}

// refuse writes a reply that is a refusal or a raw body, and reports whether it did.
func refuse(w http.ResponseWriter, reply Reply) bool {
	status := reply.Status
	if status == 0 {
		status = http.StatusOK
	}
	if reply.RetryAfter > 0 {
		seconds := int((reply.RetryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if reply.RawBody != "" {
		w.WriteHeader(status)
		// A client that has left is part of the test.
		_, _ = io.WriteString(w, reply.RawBody)
		return true
	}
	if status == http.StatusOK {
		return false
	}
	writeError(w, status, reply.errorBody())
	return true
}

func writeError(w http.ResponseWriter, status int, e Error) {
	writeJSON(w, status, map[string]any{"error": e})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) //nolint:forbidigo // it imitates a foreign server
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that has left is part of the test.
	_, _ = w.Write(body)
}

// keepLast returns the newest items. It copies only when there are twice too many, so that it
// rarely copies.
func keepLast[T any](items []T, keep int) []T {
	if len(items) < 2*keep {
		return items
	}
	return append([]T(nil), items[len(items)-keep:]...)
}
