package fault

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
)

// ProblemContentType is the media type of [Problem] (RFC 9457).
const ProblemContentType = "application/problem+json"

// Problem is a fault as RFC 9457 problem details.
type Problem struct {
	// Type is a URI reference that names the reason.
	Type string `json:"type"`
	// Title is the same for every occurrence of the reason.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail describes this occurrence.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance,omitempty"`
	// Code is the name of the gRPC code, for example INVALID_ARGUMENT.
	Code string `json:"code"`
	// Reason is the stable reason for client code.
	Reason string `json:"reason"`
	// RequestID finds the request in the logs.
	RequestID string `json:"requestId,omitempty"`
	// Violations names each bad field.
	Violations []Violation `json:"violations,omitempty"`
}

// codeNames are the names of google.rpc.Code, by number.
var codeNames = [...]string{ //nolint:gochecknoglobals // a constant table
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
	"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// CodeName returns the name of the gRPC code of a reason, as in google.rpc.Code.
func CodeName(r Reason) string { return codeNames[SpecOf(r).Code] }

// NewProblem returns f as the problem details of the request at instance.
func NewProblem(f *Fault, instance, requestID string) Problem {
	spec := SpecOf(f.reason)
	return Problem{
		Type:       "/docs/errors#" + f.Name(),
		Title:      spec.Title,
		Status:     spec.HTTPStatus,
		Detail:     f.detail,
		Instance:   instance,
		Code:       CodeName(f.reason),
		Reason:     f.Name(),
		RequestID:  requestID,
		Violations: f.violations,
	}
}

// WriteProblem writes f as the response: its status, Retry-After and WWW-Authenticate
// when the status requires them, and the problem as body.
func WriteProblem(w http.ResponseWriter, f *Fault, instance, requestID string) {
	p := NewProblem(f, instance, requestID)
	body, err := json.Marshal(p)
	if err != nil {
		// A problem has only strings and numbers, so this should not happen.
		http.Error(w, p.Title, p.Status) //nolint:forbidigo // the problem itself could not be written
		return
	}
	h := w.Header()
	h.Set("Content-Type", ProblemContentType)
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	SetRetryAfter(h, f)
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="gatehouse", error="invalid_token"`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // an error means that the client has disconnected
}

// SetRetryAfter sets Retry-After when the status of f requires it.
func SetRetryAfter(h http.Header, f *Fault) {
	if seconds := retrySeconds(f, SpecOf(f.reason).HTTPStatus); seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
}

// retrySeconds rounds up, because Retry-After is in whole seconds. It returns at least 1
// for 429 and 503.
func retrySeconds(f *Fault, status int) int {
	if f.retryAfter > 0 {
		return int(math.Ceil(f.retryAfter.Seconds()))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		return 1
	}
	return 0
}
