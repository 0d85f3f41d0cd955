package rpcserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// rawCodec sends bytes as they are, even if they are not a message.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	raw, ok := v.([]byte)
	if !ok {
		return nil, errors.New("not bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return "proto" }

// raw calls an RPC with bytes and returns how the call ended.
func (r *running) raw(ctx context.Context, t *testing.T, method string, request []byte) error {
	t.Helper()
	stream, err := r.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, grpc.ForceCodecV2(rawCodec{}))
	must(t, err)
	_ = stream.SendMsg(request) // RecvMsg returns the error
	must(t, stream.CloseSend())
	for {
		if err := stream.RecvMsg(&emptypb.Empty{}); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// S82: a request of an unauthorized caller is not decoded. The bytes here are not a
// message, and only an authorized caller gets an error about that.
func TestS82OnlyRequestsOfAuthorizedCallersAreDecoded(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	garbage := []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}
	forged := metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataAuthorization, "Bearer forged.token.here")
	for _, method := range []string{
		managementv1.AssistantService_CreateAssistant_FullMethodName, chatv1.RunService_WatchRun_FullMethodName,
	} {
		for name, tc := range map[string]struct {
			ctx  context.Context
			want faultv1.Reason
		}{
			"no credential":  {t.Context(), faultv1.Reason_REASON_UNAUTHENTICATED},
			"a forged token": {forged, faultv1.Reason_REASON_UNAUTHENTICATED},
			"no role":        {r.as(t), faultv1.Reason_REASON_PERMISSION_DENIED},
			"a member":       {r.as(t, "member"), faultv1.Reason_REASON_INVALID_ARGUMENT},
		} {
			if err := r.raw(tc.ctx, t, method, garbage); !fault.Is(err, tc.want) {
				t.Errorf("%s with %s: %v", method, name, err)
			}
		}
	}
}

// S82: a list that is too long is refused, and none of its items is checked.
func TestS82SizesAreCheckedBeforeItems(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	req := creation("x")
	for range 16_000 {
		req.Assistant.CollectionIds = append(req.Assistant.CollectionIds, "no id")
	}
	req.Assistant.Description = strings.Repeat("ü", 1001)
	req.Assistant.Tools = []string{strings.Repeat("x", 70<<10)}
	_, err := r.assistants.CreateAssistant(r.as(t, "member"), req)
	want := []fault.Violation{
		{Field: "assistant.description", Message: "must be at most 1000 characters"},
		{Field: "assistant.collectionIds", Message: "must contain no more than 50 item(s)"},
		{Field: "assistant.tools[0]", Message: "must be at most 65536 bytes"},
	}
	got := fault.From(err).Violations()
	if len(got) != len(want) {
		t.Fatalf("violations %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("violation %d is %v, want %v", i, got[i], want[i])
		}
	}
	update := &managementv1.UpdateAssistantRequest{Assistant: &managementv1.Assistant{Id: id.New()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: make([]string, 101)}}
	_, err = r.assistants.UpdateAssistant(r.as(t, "member"), update)
	if got := fault.From(err).Violations(); len(got) != 1 || got[0].Field != "updateMask" {
		t.Errorf("a long mask: %v", err)
	}
}

// S82: a response lists at most twenty violations and states their number.
func TestS82ViolationsAreListedUpToALimit(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	req := creation("x")
	for range 50 {
		req.Assistant.Tools = append(req.Assistant.Tools, id.New()+" is no name")
	}
	_, err := r.assistants.CreateAssistant(r.as(t, "member"), req)
	f := fault.From(err)
	if len(f.Violations()) != fault.MaxViolations || !strings.Contains(f.Detail(), "50 violations") {
		t.Errorf("%d violations, %q", len(f.Violations()), f.Detail())
	}
}

// S82: deep nesting is an invalid argument, and the fault names the field.
func TestS82NestingIsBounded(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	nested := func(levels int) []byte {
		value := []byte{}
		for range levels { // a Value whose list contains a Value
			value = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value)
			value = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), value)
		}
		entry := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), value)
		fields := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), entry)
		return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), fields)
	}
	for levels, want := range map[int]string{60: "", 4000: "credential"} {
		err := r.raw(t.Context(), t, authv1.SessionService_FinishPasskeySignIn_FullMethodName, nested(levels))
		f := fault.From(err)
		if !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) || len(f.Violations()) == 0 || want != "" && f.Violations()[0].Field != want {
			t.Errorf("%d levels: %v %v", levels, err, f.Violations())
		}
		if want == "" && f.Violations()[0].Field != "challengeId" { // a required field: its error shows that the message was decoded
			t.Errorf("%d levels: %v", levels, f.Violations())
		}
	}
	// Unknown fields are counted too.
	many := bytes.Repeat([]byte{0x82, 0x7d, 0}, 60_000)
	if err := r.raw(r.as(t, "member"), t, managementv1.AssistantService_CreateAssistant_FullMethodName, many); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) ||
		!strings.Contains(err.Error(), "more than 50000 values") {
		t.Errorf("60,000 fields: %v", err)
	}
	wide, err := structpb.NewList(make([]any, 10_001))
	must(t, err)
	_, err = authv1.NewSessionServiceClient(r.Conn).FinishPasskeySignIn(t.Context(), &authv1.FinishPasskeySignInRequest{
		ChallengeId: "x", Credential: &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewListValue(wide)}},
	})
	if got := fault.From(err).Violations(); len(got) != 1 || got[0].Field != "credential" {
		t.Errorf("ten thousand values: %v", err)
	}
}

// S82: requests to public methods are small, whatever they contain.
func TestS82PublicRequestsAreSmall(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	unknown := func(size int) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), make([]byte, size))
	}
	if err := r.raw(t.Context(), t, authv1.KeyService_GetJwks_FullMethodName, unknown(500<<10)); err != nil {
		t.Errorf("500 KiB: %v", err)
	}
	if err := r.raw(t.Context(), t, authv1.KeyService_GetJwks_FullMethodName, unknown(512<<10)); !fault.Is(err, faultv1.Reason_REASON_PAYLOAD_TOO_LARGE) {
		t.Errorf("more than 512 KiB: %v", err)
	}
}

// S82: a service may ask whether a caller may call, without the request. No other
// client may ask, and the handler is not called.
func TestS82OnlyServicesMayAskForAuthorizationOnly(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	called := false
	r.handlers.assisted = func(context.Context, *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
		called = true
		return &managementv1.Assistant{DisplayName: "made"}, nil
	}
	ask := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, rpcserver.MetadataAuthorizeOnly, "1")
	}
	member, viewer := r.as(t, "member"), r.as(t, "viewer")
	if _, err := r.assistants.CreateAssistant(ask(r.asService(member, t, "management")), creation(tooLong)); err != nil || called {
		t.Errorf("a member: %v, called %v", err, called)
	}
	if _, err := r.assistants.CreateAssistant(ask(r.asService(viewer, t, "management")), creation("x")); !fault.Is(err, faultv1.Reason_REASON_PERMISSION_DENIED) {
		t.Errorf("a viewer: %v", err)
	}
	if err := r.raw(ask(r.asService(member, t, "management")), t, chatv1.RunService_WatchRun_FullMethodName, nil); err != nil {
		t.Errorf("a stream: %v", err)
	}
	made, err := r.assistants.CreateAssistant(ask(member), creation("x"))
	if err != nil || !called || made.GetDisplayName() != "made" {
		t.Errorf("without a service's token: %v, called %v", err, called)
	}
}
