package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// maxErrorBytes is how many bytes of an error body are read.
const maxErrorBytes = 64 << 10

// wireError is an error in OpenAI's format. Some servers send only a string, others a number
// as code.
type wireError struct {
	Message string
	Type    string
	Code    string
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *wireError) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &e.Message) == nil {
		return nil
	}
	var object struct {
		Message string          `json:"message"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	e.Message, e.Type, e.Code = object.Message, object.Type, strings.Trim(string(object.Code), `"`)
	return nil
}

// cause returns the error for the log. Only the log has the provider's message, because the
// message may contain hosts, deployments or parts of a key.
func (e wireError) cause(status int) error {
	return fmt.Errorf("the provider returned %d: type %q, code %q: %s", status, e.Type, e.Code, e.Message)
}

func (e wireError) mentions(words ...string) bool {
	text := strings.ToLower(e.Type + " " + e.Code + " " + e.Message)
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func (e wireError) contextTooLong() bool {
	return e.mentions("context_length_exceeded", "maximum context length", "context window", "prompt is too long", "exceeds the available context")
}

// refusal returns the fault for a response whose status is not 200.
func refusal(provider, name string, response *http.Response) error {
	var body struct {
		Error wireError `json:"error"`
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBytes))
	if err == nil && json.Unmarshal(raw, &body) != nil {
		body.Error.Message = "the body is not an error in JSON"
	}
	status := response.StatusCode
	cause := body.Error.cause(status)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Wrap(fmt.Errorf("the provider returned %d: code %q", status, body.Error.Code), faultv1.Reason_REASON_PROVIDER_AUTHENTICATION,
			"The model provider %q does not accept the configured key.", provider)
	case status == http.StatusTooManyRequests || status == http.StatusPaymentRequired:
		return limited(provider, body.Error, cause, retryAfter(response.Header))
	case body.Error.contextTooLong() || status == http.StatusRequestEntityTooLarge:
		return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_CONTEXT_TOO_LONG, "The conversation is too long for the model %q.", name)
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly:
		f := fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, "The model provider %q returned an error (%d).", provider, status)
		if wait := retryAfter(response.Header); wait > 0 {
			f = f.WithRetryAfter(wait)
		}
		return f
	case status == http.StatusNotFound:
		return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_REJECTED, "The model provider %q does not have the model %q.", provider, name)
	default:
		return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_REJECTED, "The model provider %q did not accept the request (%d).", provider, status)
	}
}

func limited(provider string, e wireError, cause error, wait time.Duration) error {
	if e.mentions("insufficient_quota", "billing") {
		return fault.Wrap(errors.Join(cause, model.ErrPermanent), faultv1.Reason_REASON_PROVIDER_RATE_LIMITED, "The quota at the model provider %q is exhausted.", provider)
	}
	f := fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_RATE_LIMITED, "The model provider %q accepts no more requests at the moment.", provider)
	if wait > 0 {
		f = f.WithRetryAfter(wait)
	}
	return f
}

// retryAfter returns the wait that the headers request, in seconds or in OpenAI's
// milliseconds. It ignores an HTTP date: no model provider sends one, and the clocks of two
// machines differ.
func retryAfter(header http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && ms > 0 && ms < float64(time.Hour.Milliseconds()) {
		return time.Duration(ms * float64(time.Millisecond))
	}
	if s, err := strconv.ParseFloat(header.Get("Retry-After"), 64); err == nil && s > 0 && s < 24*time.Hour.Seconds() {
		return time.Duration(s * float64(time.Second))
	}
	return 0
}

// streamError returns the fault for an error event.
func streamError(provider, name string, e wireError) error {
	cause := e.cause(http.StatusOK)
	switch {
	case e.contextTooLong():
		return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_CONTEXT_TOO_LONG, "The conversation is too long for the model %q.", name)
	case e.mentions("rate_limit", "insufficient_quota", "429"):
		return limited(provider, e, cause, 0)
	default:
		return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The model provider %q ended its answer with an error.", provider)
	}
}

func truncated(provider string) error {
	return fault.Wrap(io.ErrUnexpectedEOF, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The model provider %q ended its answer before it was complete.", provider)
}

func interrupted(provider string, cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The connection to the model provider %q was interrupted.", provider)
}

func unreachable(provider string, cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_UNAVAILABLE, "The model provider %q cannot be reached.", provider)
}

func rejected(provider string, cause error) error {
	return fault.Wrap(cause, faultv1.Reason_REASON_PROVIDER_REJECTED, "The request to the model provider %q could not be created.", provider)
}
