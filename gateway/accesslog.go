package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// statusClientGone is the status that nginx introduced for a client that closed its
// connection.
const statusClientGone = 499

// logRequest writes the log line of a request. It contains the path but never the query,
// which may have personal data, such as the terms of a search.
func (t *telemetry) logRequest(r *http.Request, rec *recorder, x *exchange, elapsed time.Duration) {
	attributes := []slog.Attr{
		slog.String("request_id", x.requestID),
		slog.String("protocol", x.protocol.name()),
		slog.String("method", methodName(r.Method)),
		slog.String("path", clip(r.URL.Path)),
		slog.String("route", x.route),
		slog.Int("status", rec.status),
		slog.Int64("bytes", rec.bytes),
		slog.Float64("duration_ms", milliseconds(elapsed)),
		slog.String("client_ip", addressText(x.client)),
		slog.String("user_agent", x.userAgent),
	}
	if x.fault != nil {
		attributes = append(attributes, slog.String("reason", x.fault.Name()))
		if fault.SpecOf(x.fault.Reason()).HTTPStatus >= http.StatusInternalServerError {
			attributes = append(attributes, slog.String("error", x.fault.Error()))
		}
	}
	t.log.LogAttrs(r.Context(), levelOf(rec.status, x.fault), "request", attributes...)
}

// levelOf returns the log level of a request. A failure of Gatehouse is an error. A
// client that is refused for its credential, its rate or its size is a warning, because
// many of them may be an attack. All other errors of clients are normal.
func levelOf(status int, f *fault.Fault) slog.Level {
	if f != nil {
		status = fault.SpecOf(f.Reason()).HTTPStatus
		if f.Reason() == faultv1.Reason_REASON_UNAVAILABLE {
			return slog.LevelWarn // a service that cannot be reached logs its own reason
		}
	}
	switch {
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusTooManyRequests, status == http.StatusRequestEntityTooLarge:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func clip(s string) string {
	if len(s) > httpio.MaxText {
		return s[:httpio.MaxText] + "…"
	}
	return s
}
