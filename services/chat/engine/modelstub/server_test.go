package modelstub_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

func post(t *testing.T, server *httptest.Server, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

func TestServer_FollowsTheProtocol(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, options modelstub.Options) (*modelstub.Server, *httptest.Server) {
		t.Helper()
		stub := modelstub.New(options)
		server := httptest.NewServer(stub)
		t.Cleanup(server.Close)
		return stub, server
	}

	t.Run("a stream has role, text, usage and the end", func(t *testing.T) {
		t.Parallel()
		stub, server := start(t, modelstub.Options{Default: modelstub.Echo(3, 0)})
		_, body := post(t, server, "/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one two"}]}`)
		for _, want := range []string{`"role":"assistant"`, `{"content":"one"}`, `{"content":" two"}`, `{"content":" one"}`, `"finish_reason":"stop"`, `"completion_tokens":3`, "data: [DONE]\n\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
		timings := stub.Timings()
		if len(timings) != 1 || timings[0].Tokens != 3 || timings[0].FirstToken.Before(timings[0].Received) {
			t.Errorf("timings %+v", timings)
		}
	})

	t.Run("an answer without a stream is complete", func(t *testing.T) {
		t.Parallel()
		_, server := start(t, modelstub.Options{})
		_, body := post(t, server, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`)
		var answer struct {
			Choices []struct {
				Message struct{ Content string }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || !strings.HasPrefix(answer.Choices[0].Message.Content, "hi hi") {
			t.Errorf("body %s, %v", body, err)
		}
	})

	t.Run("a grounded model searches, then cites", func(t *testing.T) {
		t.Parallel()
		_, server := start(t, modelstub.Options{Default: modelstub.Grounded(2, 0)})
		tools := `"tools":[{"type":"function","function":{"name":"knowledge_search"}}]`
		_, first := post(t, server, "/v1/chat/completions", `{"model":"m","stream":true,`+tools+`,"messages":[{"role":"user","content":"why"}]}`)
		if !strings.Contains(first, `"name":"knowledge_search"`) {
			t.Errorf("no search: %s", first)
		}
		_, second := post(t, server, "/v1/chat/completions", `{"model":"m","stream":true,`+tools+`,"messages":[{"role":"user","content":"why"},{"role":"tool","tool_call_id":"c","content":"[1] because"}]}`)
		if !strings.Contains(second, "[1].") {
			t.Errorf("no citation: %s", second)
		}
	})

	t.Run("a wrong key is refused", func(t *testing.T) {
		t.Parallel()
		_, server := start(t, modelstub.Options{APIKey: "secret"})
		if status, _ := post(t, server, "/v1/chat/completions", `{}`); status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
	})

	t.Run("the same text has the same embedding", func(t *testing.T) {
		t.Parallel()
		_, server := start(t, modelstub.Options{Dimensions: 4})
		_, one := post(t, server, "/v1/embeddings", `{"model":"e","input":"a"}`)
		_, two := post(t, server, "/v1/embeddings", `{"model":"e","input":["a"],"encoding_format":"float"}`)
		if one != two || !strings.Contains(one, `"index":0`) {
			t.Errorf("%s\n%s", one, two)
		}
		if _, coded := post(t, server, "/v1/embeddings", `{"model":"e","input":["a"],"encoding_format":"base64"}`); !strings.Contains(coded, `"embedding":"`) {
			t.Errorf("not base64: %s", coded)
		}
	})
}
