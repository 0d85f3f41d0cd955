package openai

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

// repaired reads a stream through the repair.
func repaired(stream io.Reader) (string, *exchange, error) {
	ex := newExchange("m", model.Request{}, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	r := newRepair(ctx, cancel, io.NopCloser(stream), ex, "openai")
	out, err := io.ReadAll(r)
	return string(out), ex, errors.Join(err, r.Close())
}

func TestRepair_VariationsOfServers_AreAccepted(t *testing.T) {
	t.Parallel()
	const (
		text   = `data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\n"
		finish = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
		done   = "data: [DONE]\n\n"
	)
	cases := map[string]struct {
		stream string
		reason faultv1.Reason
	}{
		"whole":                       {text + finish + done, 0},
		"no [DONE] after the finish":  {text + finish, 0},
		"comments and other fields":   {": ping\nevent: x\nid: 3\n" + text + finish + done, 0},
		"CRLF":                        {strings.ReplaceAll(text+finish+done, "\n", "\r\n"), 0},
		"JSON over several lines":     {"data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"hi\"}}]}\n\n" + finish + done, 0},
		"garbage between":             {"data: nonsense\n" + text + finish + done, 0},
		"no blank lines":              {strings.ReplaceAll(text+finish+done, "\n\n", "\n"), 0},
		"content as parts":            {`data: {"choices":[{"delta":{"content":[{"type":"text","text":"hi"}]}}]}` + "\n\n" + finish + done, 0},
		"a field of another type":     {`data: {"choices":[{"delta":{"content":"hi"}}],"usage":{"prompt_tokens":1.5}}` + "\n\n" + finish + done, 0},
		"text after the finish":       {text + finish + text + done, 0},
		"another choice":              {`data: {"choices":[{"index":1,"delta":{"content":"no"}}]}` + "\n\n" + text + finish + done, 0},
		"[DONE] without a finish":     {text + done, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM},
		"end without a finish":        {text, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM},
		"error as a string":           {text + `data: {"error":"overloaded"}` + "\n\n" + finish, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM},
		"rate limit in the stream":    {text + `data: {"error":{"message":"x","code":"rate_limit_exceeded"}}` + "\n\n", faultv1.Reason_REASON_PROVIDER_RATE_LIMITED},
		"context length, code number": {text + `data: {"error":{"message":"maximum context length is 5","code":400}}` + "\n\n", faultv1.Reason_REASON_PROVIDER_CONTEXT_TOO_LONG},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, ex, err := repaired(iotest.OneByteReader(strings.NewReader(c.stream)))
			if (err == nil) != (c.reason == 0) || (c.reason != 0 && !fault.Is(err, c.reason)) {
				t.Fatalf("error %v, want reason %v", err, c.reason)
			}
			if strings.Count(out, `"content":"hi"`) != 1 || strings.Contains(out, `"no"`) {
				t.Errorf("out %q", out)
			}
			if c.reason == 0 && !ex.finished() {
				t.Error("the finish reason is lost")
			}
		})
	}

	t.Run("an endless line is refused", func(t *testing.T) {
		t.Parallel()
		_, _, err := repaired(strings.NewReader("data: " + strings.Repeat("x", maxLine+1)))
		if !fault.Is(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM) {
			t.Fatalf("error %v", err)
		}
	})
}

// FuzzRepair checks for any stream that the reader ends with an error or a finish reason, and
// that it passes on only lines that langchaingo can read.
func FuzzRepair(f *testing.F) {
	f.Add(`data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\ndata: [DONE]\n\n")
	f.Add(`data: {"choices":[{"delta":{"tool_calls":[{"index":1,"id":"a","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}` + "\n\n")
	f.Add("data: {\ndata: }\n\n: x\n\r\n")
	f.Fuzz(func(t *testing.T, stream string) {
		out, ex, err := repaired(strings.NewReader(stream))
		if err == nil && !ex.finished() {
			t.Fatal("ended without an error and without a finish reason")
		}
		for line := range strings.Lines(out) {
			if len(line) >= 64<<10 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}
