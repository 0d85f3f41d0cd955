package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/fault"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func message(text string) *chatv1.ExportRecord {
	return &chatv1.ExportRecord{Record: &chatv1.ExportRecord_Message{Message: &chatv1.Message{Content: text}}}
}

// exportOf requests an export and reads the response.
func (h *harness) exportOf() (*http.Response, string, error) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+"/v1/me:export", strings.NewReader("{}"))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestExport_IsOneDocument(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	if resp, body, err := h.exportOf(); err != nil || resp.StatusCode != http.StatusForbidden || resp.Header.Get("Content-Type") != "application/problem+json" ||
		!strings.Contains(body, "STEP_UP_REQUIRED") {
		t.Errorf("refused: %v %d %s", err, resp.StatusCode, body)
	}
	d.export = func(stream grpc.ServerStreamingServer[chatv1.ExportRecord]) error {
		for _, text := range []string{"one", "two\nlines", "</script>"} {
			if err := stream.Send(message(text)); err != nil {
				return err
			}
		}
		return nil
	}
	resp, body, err := h.exportOf()
	var document struct {
		Records []struct{ Message struct{ Content string } }
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal([]byte(body), &document) != nil || len(document.Records) != 3 ||
		document.Records[1].Message.Content != "two\nlines" || strings.Count(body, "\n") != 3 {
		t.Errorf("%v %d %s", err, resp.StatusCode, body)
	}
	if resp.Header.Get("Content-Disposition") != `attachment; filename="gatehouse-export.json"` || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", resp.Header)
	}
}

// When the stream breaks, the gateway closes the connection, so that the client sees that
// the document is incomplete.
func TestExport_StreamBreaks_ClosesConnection(t *testing.T) {
	t.Parallel()
	d := &double{}
	d.export = func(stream grpc.ServerStreamingServer[chatv1.ExportRecord]) error {
		for range 100 {
			if err := stream.Send(message(strings.Repeat("a", 1000))); err != nil {
				return err
			}
		}
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "the database is away")
	}
	h := start(t, d, inMemory)
	resp, body, err := h.exportOf()
	if err == nil || resp.StatusCode != http.StatusOK || json.Valid([]byte(body)) {
		t.Errorf("%v %d, %d bytes", err, resp.StatusCode, len(body))
	}
}
