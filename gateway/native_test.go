package gateway_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// withSomeone adds a credential to a call that has none.
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
				t.Errorf("the response's request id is %q", got)
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

func TestNativeGRPC_DeadlineAndCancel(t *testing.T) {
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

// A failure behind the gateway and a stop of the gateway are both UNAVAILABLE. Clients
// resume after that code.
func TestNativeGRPC_BrokenStream_IsUnavailable(t *testing.T) {
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

func TestNativeGRPC_ServiceUnreachable_IsUnavailable(t *testing.T) {
	t.Parallel()
	h := start(t, &double{})
	h.services()
	_, err := authv1.NewAccountServiceClient(h.dial()).GetMe(t.Context(), &authv1.GetMeRequest{})
	if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_UNAVAILABLE || f.RetryAfter() == 0 || strings.Contains(err.Error(), "dial") {
		t.Errorf("%v", err)
	}
}

// gRPC over HTTP/1 cannot work. The client gets an error instead of no response.
func TestNativeGRPC_OverHTTP1_IsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	a := h.call("POST", authv1.AccountService_GetMe_FullMethodName, string(frame(t, &authv1.GetMeRequest{})), "Content-Type", "application/grpc")
	if got := a.Trailer.Get("Grpc-Status") + a.Header.Get("Grpc-Status"); got != "3" {
		t.Errorf("grpc-status %q, headers %v", got, a.Header)
	}
}
