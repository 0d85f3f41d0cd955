package obs

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

const redactedValue = "[redacted]"

// sensitive are the words in the names of attributes whose values are not logged.
//
//nolint:gochecknoglobals // a constant table
var sensitive = [...]string{"password", "secret", "token", "authorization", "cookie", "api_key", "apikey", "credential"}

func newLogger(cfg Config, json bool, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // Validate has checked it
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if cfg.LogFormat == "json" || cfg.LogFormat == "" && json {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(traced{handler})
}

func redact(_ []string, a slog.Attr) slog.Attr {
	name := strings.ToLower(a.Key)
	for _, word := range sensitive {
		if strings.Contains(name, word) && a.Value.Kind() == slog.KindString {
			return slog.String(a.Key, redactedValue)
		}
	}
	return a
}

// traced adds the ids of the span in the context to each line.
type traced struct{ slog.Handler }

// Handle implements [slog.Handler].
func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

// WithGroup implements [slog.Handler].
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
