package gateway_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// S58: every mistake of a client is reported as such, without the text of a library.
func TestConnect_InvalidCalls_AreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &double{watch: numbers(3)}, inMemory)
	const asJSON, get = "application/json", "?connect=v1&encoding=json"
	me, watch := authv1.AccountService_GetMe_FullMethodName, chatv1.RunService_WatchRun_FullMethodName
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		want               string
	}{
		"GET, no base64":           {method: "GET", path: me + get + "&base64=1&message=*", status: 400, want: "invalid_argument"},
		"GET, unknown encoding":    {method: "GET", path: me + get + "&base64=2&message=%7B%7D", status: 400, want: "invalid_argument"},
		"GET with a body":          {method: "GET", path: me + get + "&message=%7B%7D", body: "{}", status: 400, want: "invalid_argument"},
		"GET, no gzip":             {method: "GET", path: me + get + "&compression=gzip&message=%7B%7D", status: 400, want: "invalid_argument"},
		"GET, another encoding":    {method: "GET", path: me + "?connect=v1&encoding=xml&message=%7B%7D", status: 415, want: "UNSUPPORTED_MEDIA_TYPE"},
		"GET of a stream":          {method: "GET", path: watch + get + "&message=%7B%7D", status: 405, want: "METHOD_NOT_ALLOWED"},
		"GET of nothing":           {method: "GET", path: me, status: 404, want: "ROUTE_NOT_FOUND"},
		"POST, no gzip":            {method: "POST", path: me, body: "{}", headers: []string{"Content-Encoding", "gzip"}, status: 400, want: "invalid_argument"},
		"POST, another coding":     {method: "POST", path: me, body: "{}", headers: []string{"Content-Encoding", "br"}, status: 415, want: "UNSUPPORTED_MEDIA_TYPE"},
		"POST, another type":       {method: "POST", path: me, body: "{}", headers: []string{"Content-Type", "application/xml"}, status: 415, want: "UNSUPPORTED_MEDIA_TYPE"},
		"POST, no timeout":         {method: "POST", path: me, body: "{}", headers: []string{"Connect-Timeout-Ms", "soon"}, status: 400, want: "INVALID_ARGUMENT"},
		"POST, a stream's message": {method: "POST", path: watch, body: "\x00\x00\x00\x00\x09{}", headers: []string{"Content-Type", "application/connect+json"}, status: 200, want: "invalid_argument"},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.call(c.method, c.path, c.body, c.headers...)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.want) || strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("%d %s %s", a.StatusCode, a.Header.Get("Content-Type"), a.body)
			}
		})
	}
	t.Run("no message", func(t *testing.T) {
		a := h.call("POST", me, "", "Content-Type", asJSON)
		if a.StatusCode != 200 || !strings.Contains(a.body, "ada@example.com") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// h2c returns an HTTP client that uses HTTP/2 without TLS.
func (h *harness) h2c() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{}}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: asSomeone{transport}}
}

// S56: Connect.
func TestConnect(t *testing.T) {
	t.Parallel()
	d := &double{watch: numbers(3)}
	h := start(t, d, inMemory)
	for name, client := range map[string]*http.Client{"HTTP/1": h.client, "HTTP/2": h.h2c()} {
		for codec, option := range map[string]connect.ClientOption{"json": connect.WithProtoJSON(), "binary": connect.WithClientOptions(), "gzip": connect.WithSendGzip(), "grpc-web": connect.WithGRPCWeb()} {
			t.Run(name+"/"+codec, func(t *testing.T) {
				me, err := connect.NewClient[authv1.GetMeRequest, authv1.Me](client, h.url+authv1.AccountService_GetMe_FullMethodName, option).
					CallUnary(t.Context(), connect.NewRequest(&authv1.GetMeRequest{}))
				if err != nil || me.Msg.GetEmail() != "ada@example.com" {
					t.Fatal(me, err)
				}
				_, err = connect.NewClient[managementv1.CreateAssistantRequest, managementv1.Assistant](client, h.url+managementv1.AssistantService_CreateAssistant_FullMethodName, option).
					CallUnary(t.Context(), connect.NewRequest(&managementv1.CreateAssistantRequest{}))
				if !namesDisplayName(err) {
					t.Errorf("failure: %v", err)
				}
				stream, err := connect.NewClient[chatv1.WatchRunRequest, chatv1.RunEvent](client, h.url+chatv1.RunService_WatchRun_FullMethodName, option).
					CallServerStream(t.Context(), connect.NewRequest(&chatv1.WatchRunRequest{}))
				if err != nil {
					t.Fatal(err)
				}
				var got int32
				for stream.Receive() {
					got = stream.Msg().GetSeq()
				}
				if err := errors.Join(stream.Err(), stream.Close()); err != nil || got != 3 {
					t.Errorf("%d events, %v", got, err)
				}
				_, err = connect.NewClient[authv1.IssueServiceTokenRequest, authv1.IssueServiceTokenResponse](client, h.url+authv1.ServiceTokenService_IssueServiceToken_FullMethodName, option).
					CallUnary(t.Context(), connect.NewRequest(&authv1.IssueServiceTokenRequest{}))
				if code := connect.CodeOf(err); code != connect.CodeUnimplemented && code != connect.CodeNotFound {
					t.Errorf("internal service: %v", err)
				}
			})
		}
	}
	t.Run("plain JSON by hand", func(t *testing.T) {
		a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, "{}")
		if a.StatusCode != 200 || !strings.Contains(a.body, "ada@example.com") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if a := h.call("POST", authv1.ServiceTokenService_IssueServiceToken_FullMethodName, "{}"); a.StatusCode != 404 {
			t.Errorf("internal: %d %s", a.StatusCode, a.body)
		}
	})
	t.Run("S58 a message that cannot be read", func(t *testing.T) {
		a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, `{"x`)
		if a.StatusCode != 400 || !strings.Contains(a.body, "invalid_argument") || strings.Contains(a.body, "proto:") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("an endless message", func(t *testing.T) {
		body := `{"query":"` + strings.Repeat("x", 5<<20) + `"}`
		a := h.call("POST", knowledgev1.KnowledgeService_Search_FullMethodName, body)
		if a.StatusCode == 200 || !strings.Contains(a.body, "resource_exhausted") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

func namesDisplayName(err error) bool {
	var failure *connect.Error
	if !errors.As(err, &failure) || failure.Code() != connect.CodeInvalidArgument {
		return false
	}
	for _, detail := range failure.Details() {
		if value, err := detail.Value(); err == nil {
			if bad, ok := value.(*errdetails.BadRequest); ok {
				return bad.GetFieldViolations()[0].GetField() == "assistant.displayName"
			}
		}
	}
	return false
}
