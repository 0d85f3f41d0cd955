package gateway_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// double implements every service that the tests need, on a real gRPC server. A test
// replaces the functions that it is about.
type double struct {
	authv1.UnimplementedAccountServiceServer
	authv1.UnimplementedEmailServiceServer
	authv1.UnimplementedIdentityServiceServer
	authv1.UnimplementedProviderServiceServer
	authv1.UnimplementedServiceTokenServiceServer
	authv1.UnimplementedSessionServiceServer
	managementv1.UnimplementedAssistantServiceServer
	chatv1.UnimplementedConversationServiceServer
	chatv1.UnimplementedExportServiceServer
	chatv1.UnimplementedRunServiceServer
	knowledgev1.UnimplementedCollectionServiceServer
	knowledgev1.UnimplementedDocumentServiceServer
	knowledgev1.UnimplementedKnowledgeServiceServer

	verify          func(*authv1.VerifyEmailRequest) error
	reset           func(*authv1.ResetPasswordRequest) error
	finishMail      func(token string) (*authv1.TokenResponse, error)
	answerMfa       func(*authv1.SignInMfaRequest) (*authv1.TokenResponse, error)
	finishProvider  func(*authv1.FinishProviderSignInRequest) (*authv1.TokenResponse, error)
	finishIdentity  func(*authv1.FinishIdentityRequest) error
	getMe           func(context.Context) (*authv1.Me, error)
	createAssistant func(context.Context, *managementv1.Assistant) (*managementv1.Assistant, error)
	search          func(context.Context, *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error)
	watch           func(*chatv1.WatchRunRequest, grpc.ServerStreamingServer[chatv1.RunEvent]) error
	export          func(grpc.ServerStreamingServer[chatv1.ExportRecord]) error
	upload          func(grpc.ServerStream) error
	send            func(*chatv1.SendMessageRequest, grpc.ServerStreamingServer[chatv1.RunEvent]) error

	// refuse is the error when the gateway asks whether a caller may make a call. When
	// nil, every caller may.
	refuse error
	// authorized counts these requests of the gateway.
	authorized atomic.Int32

	mu       sync.Mutex
	metadata metadata.MD
	update   *managementv1.UpdateAssistantRequest
	list     *managementv1.ListAssistantsRequest
	header   *knowledgev1.UploadDocumentRequest_Header
	uploaded []byte
	calls    int
}

// saw returns the metadata of the last call.
func (d *double) saw() metadata.MD {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.metadata.Copy()
}

func (d *double) note(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.metadata, d.calls = md, d.calls+1
}

// server returns a gRPC server that maps faults as the real servers do.
func (d *double) server() *grpc.Server {
	s := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if authorizeOnly(ctx) {
				return &emptypb.Empty{}, wire(d.authorize())
			}
			d.note(ctx)
			resp, err := next(ctx, req)
			return resp, wire(err)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if authorizeOnly(ss.Context()) {
				return wire(d.authorize())
			}
			d.note(ss.Context())
			return wire(next(srv, ss))
		}),
	)
	authv1.RegisterAccountServiceServer(s, d)
	authv1.RegisterEmailServiceServer(s, d)
	authv1.RegisterIdentityServiceServer(s, d)
	authv1.RegisterProviderServiceServer(s, d)
	authv1.RegisterServiceTokenServiceServer(s, d)
	authv1.RegisterSessionServiceServer(s, d)
	managementv1.RegisterAssistantServiceServer(s, d)
	chatv1.RegisterConversationServiceServer(s, d)
	chatv1.RegisterExportServiceServer(s, d)
	chatv1.RegisterRunServiceServer(s, d)
	knowledgev1.RegisterCollectionServiceServer(s, d)
	knowledgev1.RegisterDocumentServiceServer(s, d)
	knowledgev1.RegisterKnowledgeServiceServer(s, d)
	return s
}

// authorizeOnly reports whether the gateway only asks whether the caller may make the call.
func authorizeOnly(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	return len(md.Get(rpcserver.MetadataAuthorizeOnly)) > 0
}

// authorize decides whether a caller may make a call.
func (d *double) authorize() error {
	d.authorized.Add(1)
	if d.refuse != nil {
		return d.refuse
	}
	return nil
}

func wire(err error) error {
	if err == nil {
		return nil
	}
	return fault.ToStatus(fault.From(err)).Err()
}

func (d *double) GetMe(ctx context.Context, _ *authv1.GetMeRequest) (*authv1.Me, error) {
	if d.getMe != nil {
		return d.getMe(ctx)
	}
	return &authv1.Me{Id: "me", Email: "ada@example.com", Etag: "e1"}, nil
}

func (d *double) SignIn(context.Context, *authv1.SignInRequest) (*authv1.TokenResponse, error) {
	return &authv1.TokenResponse{AccessToken: "a", TokenType: "Bearer", ExpiresIn: 900}, nil
}

func (d *double) FinishEmailSignIn(_ context.Context, req *authv1.FinishEmailSignInRequest) (*authv1.TokenResponse, error) {
	if d.finishMail == nil {
		return nil, fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "no such link")
	}
	return d.finishMail(req.GetToken())
}

func (d *double) ExportMe(_ *chatv1.ExportMeRequest, stream grpc.ServerStreamingServer[chatv1.ExportRecord]) error {
	if d.export == nil {
		return fault.New(faultv1.Reason_REASON_STEP_UP_REQUIRED, "show your password again")
	}
	return d.export(stream)
}

func (d *double) IssueServiceToken(context.Context, *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	return &authv1.IssueServiceTokenResponse{AccessToken: "stolen"}, nil
}

func (d *double) CreateAssistant(ctx context.Context, req *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
	if d.createAssistant != nil {
		return d.createAssistant(ctx, req.GetAssistant())
	}
	if req.GetAssistant().GetDisplayName() == "" {
		return nil, fault.Invalid("assistant.displayName", "must not be empty")
	}
	return req.GetAssistant(), nil
}

func (d *double) UpdateAssistant(_ context.Context, req *managementv1.UpdateAssistantRequest) (*managementv1.Assistant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update = req
	return req.GetAssistant(), nil
}

func (d *double) ListAssistants(_ context.Context, req *managementv1.ListAssistantsRequest) (*managementv1.ListAssistantsResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = req
	return &managementv1.ListAssistantsResponse{}, nil
}

func (d *double) GetAssistant(_ context.Context, req *managementv1.GetAssistantRequest) (*managementv1.Assistant, error) {
	return nil, fault.NotFound("assistant " + req.GetId())
}

func (d *double) Search(ctx context.Context, req *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
	if d.search != nil {
		return d.search(ctx, req)
	}
	return &knowledgev1.SearchResponse{}, nil
}

func (d *double) GetDocument(context.Context, *knowledgev1.GetDocumentRequest) (*knowledgev1.Document, error) {
	return &knowledgev1.Document{Id: "doc", SizeBytes: 1 << 40, State: knowledgev1.Document_READY}, nil
}

func (d *double) GetDocumentContent(context.Context, *knowledgev1.GetDocumentContentRequest) (*httpbody.HttpBody, error) {
	return &httpbody.HttpBody{ContentType: "text/html", Data: []byte("<script>alert(1)</script>")}, nil
}

func (d *double) UploadDocument(stream grpc.ClientStreamingServer[knowledgev1.UploadDocumentRequest, knowledgev1.Document]) error {
	if d.upload != nil {
		return d.upload(stream)
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHeader().GetTitle() == "refuse" {
		return fault.New(faultv1.Reason_REASON_DOCUMENT_UNSUPPORTED_TYPE, "documents of this type cannot be read")
	}
	var body []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		body = append(body, part.GetChunk()...)
	}
	d.mu.Lock()
	d.header, d.uploaded = first.GetHeader(), body
	d.mu.Unlock()
	return stream.SendAndClose(&knowledgev1.Document{Id: "doc", SizeBytes: int64(len(body))})
}

func (d *double) WatchRun(req *chatv1.WatchRunRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	if d.watch == nil {
		return fault.NotFound("run")
	}
	return d.watch(req, stream)
}

func (d *double) SendMessage(req *chatv1.SendMessageRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	if d.send == nil {
		return fault.NotFound("conversation")
	}
	return d.send(req, stream)
}

// delta is an event of a run.
func delta(seq int32, text string) *chatv1.RunEvent {
	return &chatv1.RunEvent{
		RunId: "run", Seq: seq,
		Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: text}},
	}
}

// completed is the last event of a run.
func completed(seq int32) *chatv1.RunEvent {
	return &chatv1.RunEvent{
		RunId: "run", Seq: seq,
		Event: &chatv1.RunEvent_RunCompleted{RunCompleted: &chatv1.RunCompleted{}},
	}
}

// accept marks a stream as accepted, as package rpcserver does.
func accept(stream grpc.ServerStreamingServer[chatv1.RunEvent], pairs ...string) error {
	return stream.SendHeader(metadata.Pairs(append(pairs, rpcserver.MetadataStreamAccepted, "1")...))
}

func (d *double) VerifyEmail(_ context.Context, req *authv1.VerifyEmailRequest) (*authv1.VerifyEmailResponse, error) {
	if d.verify == nil {
		return nil, errors.ErrUnsupported
	}
	return &authv1.VerifyEmailResponse{}, d.verify(req)
}

func (d *double) ResetPassword(_ context.Context, req *authv1.ResetPasswordRequest) (*authv1.ResetPasswordResponse, error) {
	if d.reset == nil {
		return nil, errors.ErrUnsupported
	}
	return &authv1.ResetPasswordResponse{}, d.reset(req)
}
