package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// maxLogged bounds what the log keeps of a text that the client chose.
const maxLogged = 200

// logRequest writes the one line of a request. It holds the path but never the
// query, which may hold what somebody looked for.
func (g *Gateway) logRequest(r *http.Request, rec *recorder, x *exchange, elapsed time.Duration) {
	attributes := []slog.Attr{
		slog.String("request_id", x.requestID),
		slog.String("protocol", x.protocol),
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
	g.deps.Log.LogAttrs(r.Context(), levelOf(rec.status, x.fault), "request", attributes...)
}

// levelOf decides, in one place, what is worth a person's attention. A fault
// of ours is an error. A client that is refused for its credential, its rate
// or its size is a warning, since many of them are an attack. What clients ask
// wrongly or too late is their day's work, and ours.
func levelOf(status int, f *fault.Fault) slog.Level {
	if f != nil {
		status = fault.SpecOf(f.Reason()).HTTPStatus
		if f.Reason() == faultv1.Reason_REASON_UNAVAILABLE {
			return slog.LevelWarn // a backend that is away logs its own reason
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
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}
