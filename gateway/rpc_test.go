package gateway_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// withSomeone adds a credential to a call that states none.
func withSomeone(ctx context.Context) context.Context {
	if md, _ := metadata.FromOutgoingContext(ctx); len(md.Get("authorization")) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", someone)
}

// dial returns a gRPC client of the gateway's port.
func (h *harness) dial() *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return next(withSomeone(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(withSomeone(ctx), desc, cc, method, opts...)
		}))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// S53, S56: gRPC.
func TestNativeGRPC(t *testing.T) {
	t.Parallel()
	for kind, option := range map[string]func(*setting){"tcp": func(*setting) {}, "bufconn": inMemory} {
		d := &double{watch: numbers(3)}
		h := start(t, d, option)
		conn := h.dial()

		t.Run(kind+"/a single call", func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer user",
				"x-gatehouse-client-ip", "6.6.6.6", "x-gatehouse-service-token", "forged", "x-request-id", "req-9")
			var header metadata.MD
			me, err := authv1.NewAccountServiceClient(conn).GetMe(ctx, &authv1.GetMeRequest{}, grpc.Header(&header))
			if err != nil || me.GetEmail() != "ada@example.com" {
				t.Fatal(me, err)
			}
			for name, want := range map[string]string{
				"authorization": "Bearer user", "x-gatehouse-service-token": "svc-auth",
				"x-gatehouse-client-ip": "127.0.0.1", "x-request-id": "req-9",
			} {
				if got := h.saw().Get(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := header.Get("x-request-id"); len(got) != 1 || got[0] != "req-9" {
				t.Errorf("the answer's request id is %q", got)
			}
		})
		t.Run(kind+"/details of a failure", func(t *testing.T) {
			_, err := managementv1.NewAssistantServiceClient(conn).CreateAssistant(t.Context(), &managementv1.CreateAssistantRequest{})
			f := fault.From(err)
			if f.Reason() != faultv1.Reason_REASON_INVALID_ARGUMENT || len(f.Violations()) != 1 || f.Violations()[0].Field != "assistant.displayName" {
				t.Errorf("%v %v", err, f.Violations())
			}
		})
		t.Run(kind+"/a stream", func(t *testing.T) {
			stream, err := chatv1.NewRunServiceClient(conn).WatchRun(t.Context(), &chatv1.WatchRunRequest{RunId: "r"})
			if err != nil {
				t.Fatal(err)
			}
			for want := int32(1); ; want++ {
				event, err := stream.Recv()
				if errors.Is(err, io.EOF) && want == 4 {
					break
				}
				if err != nil || event.GetSeq() != want {
					t.Fatalf("event %d: %v %v", want, event, err)
				}
			}
		})
		t.Run(kind+"/an upload", func(t *testing.T) {
			stream, err := knowledgev1.NewDocumentServiceClient(conn).UploadDocument(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []*knowledgev1.UploadDocumentRequest{
				{Part: &knowledgev1.UploadDocumentRequest_Header_{Header: &knowledgev1.UploadDocumentRequest_Header{Title: "t"}}},
				{Part: &knowledgev1.UploadDocumentRequest_Chunk{Chunk: []byte("text")}},
			} {
				if err := stream.Send(part); err != nil {
					t.Fatal(err)
				}
			}
			if doc, err := stream.CloseAndRecv(); err != nil || doc.GetSizeBytes() != 4 {
				t.Error(doc, err)
			}
		})
		t.Run(kind+"/an internal service", func(t *testing.T) {
			_, err := authv1.NewServiceTokenServiceClient(conn).IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{})
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%v", err)
			}
			if err := conn.Invoke(t.Context(), "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &authv1.GetMeRequest{}, &authv1.Me{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("reflection: %v", err)
			}
		})
		t.Run(kind+"/two credentials", func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer a", "authorization", "Bearer b")
			_, err := authv1.NewAccountServiceClient(conn).GetMe(ctx, &authv1.GetMeRequest{})
			if fault.From(err).Reason() != faultv1.Reason_REASON_UNAUTHENTICATED {
				t.Error(err)
			}
		})
	}
}

// numbers sends n events.
func numbers(n int32) func(*chatv1.WatchRunRequest, watchStream) error {
	return func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		for seq := range n {
			if err := stream.Send(delta(seq+1, "x")); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestNativeDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	d := &double{
		search: func(ctx context.Context, _ *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 30*time.Second {
				return nil, fault.Invalid("deadline", "is none")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
		watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
			if err := accept(stream); err != nil {
				return err
			}
			<-stream.Context().Done()
			ended <- struct{}{}
			return stream.Context().Err()
		},
	}
	h := start(t, d)
	conn := h.dial()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := knowledgev1.NewKnowledgeServiceClient(conn).Search(ctx, &knowledgev1.SearchRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	stream, err := chatv1.NewRunServiceClient(conn).WatchRun(ctx, &chatv1.WatchRunRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	cancel()
	within(t, ended, "the cancel to reach the service")
}

// What breaks behind the gateway, and the gateway's own stop, are UNAVAILABLE:
// clients resume on it.
func TestNativeStreamBreaksAsUnavailable(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		if err := stream.Send(delta(1, "half")); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	for name, breakIt := range map[string]func(*harness){
		"the service dies":  func(h *harness) { h.services() },
		"the gateway stops": func(h *harness) { h.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, d)
			stream, err := chatv1.NewRunServiceClient(h.dial()).WatchRun(t.Context(), &chatv1.WatchRunRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			breakIt(h)
			if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNativeServiceAway(t *testing.T) {
	t.Parallel()
	h := start(t, &double{})
	h.services()
	_, err := authv1.NewAccountServiceClient(h.dial()).GetMe(t.Context(), &authv1.GetMeRequest{})
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_UNAVAILABLE || f.RetryAfter() == 0 || strings.Contains(err.Error(), "dial") {
		t.Errorf("%v", err)
	}
}

// frame puts a message into gRPC's framing.
func frame(t *testing.T, m proto.Message) []byte {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// webCall makes a gRPC-Web call by hand and returns its messages and trailers.
func (h *harness) webCall(text bool, path string, m proto.Message, headers ...string) (messages [][]byte, trailers string, a answer) {
	h.t.Helper()
	contentType, body := "application/grpc-web+proto", frame(h.t, m)
	if text {
		contentType, body = "application/grpc-web-text", []byte(base64.StdEncoding.EncodeToString(body))
	}
	a = h.do(h.request("POST", path, string(body), append(headers, "Content-Type", contentType)...))
	messages, trailers = webFrames(h.t, a.body, text)
	return messages, trailers, a
}

// webFrames reads the messages and trailers of a gRPC-Web answer.
func webFrames(t *testing.T, body string, text bool) (messages [][]byte, trailers string) {
	t.Helper()
	raw := []byte(body)
	if text {
		raw = nil
		for _, quad := range strings.SplitAfter(body, "=") { // each write is padded by itself
			part, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(strings.TrimLeft(quad, "="))))
			raw = append(raw, part...)
			if err != nil {
				decoded, err := base64.RawStdEncoding.DecodeString(strings.Trim(quad, "="))
				if err != nil {
					t.Fatal(err)
				}
				raw = append(raw[:len(raw)-len(part)], decoded...)
			}
		}
	}
	for len(raw) >= 5 {
		size := binary.BigEndian.Uint32(raw[1:5])
		payload := raw[5 : 5+size]
		if raw[0]&0x80 != 0 {
			trailers = string(payload)
		} else {
			messages = append(messages, payload)
		}
		raw = raw[5+size:]
	}
	return messages, trailers
}

// S53, S56: gRPC-Web.
func TestGRPCWeb(t *testing.T) {
	t.Parallel()
	d := &double{watch: numbers(3)}
	h := start(t, d, inMemory)
	for name, text := range map[string]bool{"binary": false, "text": true} {
		t.Run(name+"/a single call", func(t *testing.T) {
			messages, trailers, a := h.webCall(text, authv1.AccountService_GetMe_FullMethodName, &authv1.GetMeRequest{}, "X-Gatehouse-Client-Ip", "6.6.6.6")
			var me authv1.Me
			if len(messages) != 1 || proto.Unmarshal(messages[0], &me) != nil || me.GetEmail() != "ada@example.com" {
				t.Fatalf("%q %q", messages, a.body)
			}
			if !strings.Contains(trailers, "grpc-status: 0\r\n") {
				t.Errorf("trailers %q", trailers)
			}
			if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/grpc-web") || strings.Contains(got, "text") != text {
				t.Errorf("Content-Type %q", got)
			}
			if got := h.saw().Get("x-gatehouse-client-ip"); len(got) != 1 || got[0] != "127.0.0.1" {
				t.Errorf("client ip %q", got)
			}
		})
		t.Run(name+"/a stream", func(t *testing.T) {
			messages, trailers, _ := h.webCall(text, chatv1.RunService_WatchRun_FullMethodName, &chatv1.WatchRunRequest{})
			if len(messages) != 3 || !strings.Contains(trailers, "grpc-status: 0") {
				t.Errorf("%d messages, trailers %q", len(messages), trailers)
			}
		})
		t.Run(name+"/a failure", func(t *testing.T) {
			messages, trailers, _ := h.webCall(text, managementv1.AssistantService_CreateAssistant_FullMethodName, &managementv1.CreateAssistantRequest{})
			if len(messages) != 0 || !strings.Contains(trailers, "grpc-status: 3") || !strings.Contains(trailers, "grpc-status-details-bin: ") {
				t.Errorf("%q, trailers %q", messages, trailers)
			}
		})
		t.Run(name+"/an internal service", func(t *testing.T) {
			_, trailers, a := h.webCall(text, authv1.ServiceTokenService_IssueServiceToken_FullMethodName, &authv1.IssueServiceTokenRequest{})
			if !strings.Contains(trailers, "grpc-status: 12") || strings.Contains(a.body, "stolen") {
				t.Errorf("trailers %q", trailers)
			}
		})
	}
}

// A client that sends nonsense is told so, and not to try again.
func TestGRPCWebTextThatIsNoBase64(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for name, body := range map[string]string{
		"another character": "AAAA*AAA",
		"half a quantum":    "AAAAAAA",
		"padding within":    "AA==AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, body, "Content-Type", "application/grpc-web-text")
			_, trailers := webFrames(t, a.body, true)
			if !strings.Contains(trailers, "grpc-status: 3\r\n") {
				t.Errorf("trailers %q", trailers)
			}
		})
	}
}

func TestGRPCWebStreamBreaksWithAStatus(t *testing.T) {
	t.Parallel()
	d := &double{watch: func(_ *chatv1.WatchRunRequest, stream watchStream) error {
		if err := accept(stream); err != nil {
			return err
		}
		if err := stream.Send(delta(1, "half")); err != nil {
			return err
		}
		return fault.New(faultv1.Reason_REASON_UNAVAILABLE, "gone: 50%%")
	}}
	h := start(t, d, inMemory)
	messages, trailers, _ := h.webCall(true, chatv1.RunService_WatchRun_FullMethodName, &chatv1.WatchRunRequest{})
	if len(messages) != 1 || !strings.Contains(trailers, "grpc-status: 14") || !strings.Contains(trailers, "gone: 50%25") {
		t.Errorf("%d messages, trailers %q", len(messages), trailers)
	}
}

// S58: whatever a client gets wrong is told as its mistake, in our words.
func TestConnectRefusals(t *testing.T) {
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
		"GET, no such spelling":    {method: "GET", path: me + get + "&base64=2&message=%7B%7D", status: 400, want: "invalid_argument"},
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
	t.Run("no message at all", func(t *testing.T) {
		a := h.call("POST", me, "", "Content-Type", asJSON)
		if a.StatusCode != 200 || !strings.Contains(a.body, "ada@example.com") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}

// h2c is an HTTP client that speaks HTTP/2 without TLS.
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
	t.Run("a message without end", func(t *testing.T) {
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

// gRPC over HTTP/1 cannot work; the client is told rather than left hanging.
func TestGRPCOverHTTP1(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, string(frame(t, &authv1.GetMeRequest{})), "Content-Type", "application/grpc")
	if got := a.Trailer.Get("Grpc-Status") + a.Header.Get("Grpc-Status"); got != "3" {
		t.Errorf("grpc-status %q, headers %v", got, a.Header)
	}
}
