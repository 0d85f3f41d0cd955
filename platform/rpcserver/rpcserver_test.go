package rpcserver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func creation(name string) *managementv1.CreateAssistantRequest {
	return &managementv1.CreateAssistantRequest{Assistant: &managementv1.Assistant{DisplayName: name}}
}

// tooLong is a name that the contract refuses.
var tooLong = strings.Repeat("x", 1000)

func resolution() *managementv1.ResolveAssistantRequest {
	return &managementv1.ResolveAssistantRequest{OrganizationId: id.New(), Id: id.New()}
}

// S8, S46: one case for each step of the chain, in its order. A call that breaks several
// rules gets the error of the first.
func TestChain_SeveralRulesBroken_ReturnsTheFirstError(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	called := false
	r.handlers.assisted = func(context.Context, *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
		called = true
		return &managementv1.Assistant{}, nil
	}
	forged := metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataAuthorization, "Bearer forged.token.here")
	twice := metadata.AppendToOutgoingContext(r.as(t, "owner"), rpcserver.MetadataAuthorization, "Bearer x")
	for _, tc := range []struct {
		name string
		ctx  context.Context
		req  *managementv1.CreateAssistantRequest
		want faultv1.Reason
	}{
		{"a forged token, before the form", forged, creation(tooLong), faultv1.Reason_REASON_UNAUTHENTICATED},
		{"two credentials", twice, creation("x"), faultv1.Reason_REASON_UNAUTHENTICATED},
		{"no credential, before the form", t.Context(), creation(tooLong), faultv1.Reason_REASON_UNAUTHENTICATED},
		{"no permission, before the form", r.as(t, "viewer"), creation(tooLong), faultv1.Reason_REASON_PERMISSION_DENIED},
		{"a bad form", r.as(t, "member"), creation(tooLong), faultv1.Reason_REASON_INVALID_ARGUMENT},
		{"no credential", t.Context(), creation("x"), faultv1.Reason_REASON_UNAUTHENTICATED},
		{"a role without the permission", r.as(t, "viewer"), creation("x"), faultv1.Reason_REASON_PERMISSION_DENIED},
		{"no role at all", r.as(t), creation("x"), faultv1.Reason_REASON_PERMISSION_DENIED},
	} {
		_, err := r.assistants.CreateAssistant(tc.ctx, tc.req)
		if got := fault.ReasonOf(err); got != tc.want {
			t.Errorf("%s: %v (%v), want %v", tc.name, got, err, tc.want)
		}
	}
	if called {
		t.Error("the handler was called")
	}
	if _, err := r.assistants.CreateAssistant(r.as(t, "member"), creation("x")); err != nil || !called {
		t.Errorf("called %v, %v", called, err)
	}
}

func TestValidation_BadField_IsNamedAsInJSON(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	_, err := r.assistants.CreateAssistant(r.as(t, "member"), creation(tooLong))
	violations := fault.From(err).Violations()
	if len(violations) != 1 || violations[0].Field != "assistant.displayName" {
		t.Errorf("violations %+v", violations)
	}
}

// S63: the database refuses a NUL and does not name the field.
func TestS63TheFieldWithANULIsNamed(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	r.handlers.assisted = func(context.Context, *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
		return nil, fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "a text contains characters that cannot be stored")
	}
	req := creation("plain")
	req.Assistant.Description, req.Assistant.Instructions = "a\x00b", "\x00"
	_, err := r.assistants.CreateAssistant(r.as(t, "member"), req)
	var fields []string
	for _, v := range fault.From(err).Violations() {
		fields = append(fields, v.Field)
	}
	if !slices.Equal(fields, []string{"assistant.description", "assistant.instructions"}) {
		t.Errorf("%v names %q", err, fields)
	}
}

// An invalid token must not prevent a call that needs no token.
func TestPublicCall_NoCredentialOrABadOne_Succeeds(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	stale := metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataAuthorization, "Bearer stale")
	for _, ctx := range []context.Context{t.Context(), stale} {
		if _, err := r.keys.GetJwks(ctx, &authv1.GetJwksRequest{}); err != nil {
			t.Error(err)
		}
	}
}

// S76: only services may call internal RPCs.
func TestS76InternalCallsNeedATokenForThisService(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	for name, ctx := range map[string]context.Context{
		"nothing":                 t.Context(),
		"an owner's token":        r.as(t, "owner", "operator"),
		"a token for another":     r.asService(t.Context(), t, "chat"),
		"a user's as a service's": metadata.AppendToOutgoingContext(t.Context(), rpcserver.MetadataServiceToken, bearerOf(r.as(t, "owner"))),
	} {
		if _, err := r.directory.ResolveAssistant(ctx, resolution()); !fault.Is(err, faultv1.Reason_REASON_UNAUTHENTICATED) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.directory.ResolveAssistant(r.asService(t.Context(), t, "management"), resolution()); err != nil {
		t.Errorf("a token for this service: %v", err)
	}
}

func bearerOf(ctx context.Context) string {
	md, _ := metadata.FromOutgoingContext(ctx)
	return strings.TrimPrefix(md.Get(rpcserver.MetadataAuthorization)[0], "Bearer ")
}

func TestS76TheOriginIsTrustedOnlyWithAServiceToken(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	var seen identity.Origin
	r.handlers.me = func(ctx context.Context) (*authv1.Me, error) {
		seen = identity.OriginFromContext(ctx)
		return &authv1.Me{}, nil
	}
	claim := metadata.AppendToOutgoingContext(r.as(t, "member"), rpcserver.MetadataClientIP, "203.0.113.9", rpcserver.MetadataUserAgent, "phone")
	_, err := r.accounts.GetMe(claim, &authv1.GetMeRequest{})
	must(t, err)
	if seen.IPAddress == "203.0.113.9" || seen.UserAgent != "" {
		t.Errorf("the origin that a client states was trusted: %+v", seen)
	}
	_, err = r.accounts.GetMe(r.asService(claim, t, "management"), &authv1.GetMeRequest{})
	must(t, err)
	if seen.IPAddress != "203.0.113.9" || seen.UserAgent != "phone" {
		t.Errorf("the origin that the gateway states was not trusted: %+v", seen)
	}
}

func TestS58APanicEndsOneCallAndLeaksNothing(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	r.handlers.me = func(context.Context) (*authv1.Me, error) { panic("the vault's code is 1234") }
	for range 2 { // the server survives the panic
		_, err := r.accounts.GetMe(r.as(t, "member"), &authv1.GetMeRequest{})
		if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.String(), "1234") {
			t.Errorf("got %v", err)
		}
	}
	if !strings.Contains(r.logs.String(), "the vault's code is 1234") {
		t.Error("the log does not contain the cause")
	}
}

func TestS58ErrorsOfLibrariesDoNotReachClients(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	r.handlers.me = func(context.Context) (*authv1.Me, error) { return nil, errors.New("relation users at db-7") }
	_, err := r.accounts.GetMe(r.as(t, "member"), &authv1.GetMeRequest{})
	if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.String(), "db-7") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(r.logs.String(), "db-7") {
		t.Error("the log does not contain the cause")
	}
}

func TestUnaryCall_WithoutADeadline_GetsOne(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	var has bool
	r.handlers.me = func(ctx context.Context) (*authv1.Me, error) {
		_, has = ctx.Deadline()
		return &authv1.Me{}, nil
	}
	_, err := r.accounts.GetMe(r.as(t, "member"), &authv1.GetMeRequest{})
	must(t, err)
	if !has {
		t.Error("a call without a deadline got none")
	}
}

func TestRateLimit_OneCallerExceedsIt_OthersAreNotLimited(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{Limits: true})
	r.handlers.assisted = func(context.Context, *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
		return &managementv1.Assistant{}, nil
	}
	caller := r.as(t, "member")
	var err error
	var header metadata.MD
	for range 1000 {
		if _, err = r.assistants.CreateAssistant(caller, creation("x"), grpc.Header(&header)); err != nil {
			break
		}
	}
	f := fault.From(err)
	if !fault.Is(err, faultv1.Reason_REASON_RATE_LIMITED) || f.RetryAfter() <= 0 {
		t.Fatalf("after 1000 calls: %v, retry after %v", err, f.RetryAfter())
	}
	if len(header.Get(rpcserver.MetadataRateLimit)) != 1 || len(header.Get(rpcserver.MetadataRateLimitPolicy)) != 1 {
		t.Errorf("the response has no rate limit: %v", header)
	}
	if _, err := r.assistants.CreateAssistant(r.as(t, "member"), creation("x")); err != nil {
		t.Errorf("another caller: %v", err)
	}
}

// S59: a user may open a limited number of streams, with one or many tokens. The limit
// of one user does not affect others.
func TestS59StreamsOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	const most = 100
	r := start(t, rpctest.Options{Limits: true})
	entered, ended := make(chan struct{}), make(chan error)
	r.handlers.watch = func(ctx context.Context) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	organization, user := id.New(), id.New()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	open := func(userID string) error {
		caller, _ := metadata.FromOutgoingContext(r.AsUser(t, organization, userID, "member"))
		stream, err := r.runs.WatchRun(metadata.NewOutgoingContext(ctx, caller), &chatv1.WatchRunRequest{RunId: id.New()})
		must(t, err)
		go func() {
			_, err := stream.Recv()
			select {
			case ended <- err:
			case <-ctx.Done():
			}
		}()
		select {
		case <-entered:
			return nil
		case err := <-ended:
			return err
		}
	}
	for n := range most + 5 {
		if err := open(user); (n >= most) != fault.Is(err, faultv1.Reason_REASON_RATE_LIMITED) || n < most && err != nil {
			t.Errorf("stream %d: %v", n+1, err)
		}
	}
	if err := open(id.New()); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// A stopping server ends streams, so that their clients resume elsewhere. Calls in
// flight may finish.
func TestStop_OpenStreamAndCall_StreamEndsAndCallFinishes(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	inFlight, finish := make(chan struct{}), make(chan struct{})
	r.handlers.me = func(context.Context) (*authv1.Me, error) {
		close(inFlight)
		<-finish
		return &authv1.Me{Id: "finished"}, nil
	}
	r.handlers.watch = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	caller := r.as(t, "member")
	answered := make(chan error, 1)
	go func() {
		me, err := r.accounts.GetMe(caller, &authv1.GetMeRequest{})
		if err == nil && me.GetId() != "finished" {
			err = errors.New("another answer")
		}
		answered <- err
	}()
	stream, err := r.runs.WatchRun(caller, &chatv1.WatchRunRequest{RunId: id.New()})
	must(t, err)
	_, err = stream.Header()
	must(t, err)
	<-inFlight
	r.Stop()
	_, err = stream.Recv()
	if f := fault.From(err); !fault.Is(err, faultv1.Reason_REASON_UNAVAILABLE) || f.RetryAfter() <= 0 {
		t.Errorf("the stream ended with %v, retry after %v", err, f.RetryAfter())
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	<-r.Stopped
}

func TestIdempotencyKey_TooLong_IsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	var key string
	var err error
	r.handlers.me = func(ctx context.Context) (*authv1.Me, error) {
		key, err = rpcserver.IdempotencyKey(ctx)
		return &authv1.Me{}, nil
	}
	for given, want := range map[string]bool{"": true, "a key, printable": true, strings.Repeat("k", 128): true, strings.Repeat("k", 129): false} {
		ctx := metadata.AppendToOutgoingContext(r.as(t, "member"), rpcserver.MetadataIdempotencyKey, given)
		if _, failed := r.accounts.GetMe(ctx, &authv1.GetMeRequest{}); failed != nil {
			t.Fatal(failed)
		}
		if (err == nil) != want || want && key != given {
			t.Errorf("%q: %q, %v", given, key, err)
		}
	}
}

func TestS57RequestIDsAreShortAndPlain(t *testing.T) {
	t.Parallel()
	for given, kept := range map[string]bool{
		"abc-123_.:X": true, "": false, "line\nbreak": false, `quote"`: false, strings.Repeat("x", 129): false,
	} {
		if got := rpcserver.RequestID(given); (got == given) != kept || got == "" {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestNew_WithoutDependencies_Fails(t *testing.T) {
	t.Parallel()
	if _, err := rpcserver.New(rpcserver.Config{}, rpcserver.Deps{}); err == nil {
		t.Error("a server without dependencies was built")
	}
}
