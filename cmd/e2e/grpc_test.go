package e2e_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/id"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// foreignClient uses the public port with nothing but grpc-go and the contract.
func foreignClient(t *testing.T, i *installation) {
	conn, err := grpc.NewClient(i.gateway, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	tokens, err := authv1.NewSessionServiceClient(conn).SignIn(ctx, &authv1.SignInRequest{Email: adminEmail, Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	i.keepSecret(tokens.GetAccessToken())
	me := authv1.NewAccountServiceClient(conn)
	if _, err := me.GetMe(ctx, &authv1.GetMeRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a credential: %v", err)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+tokens.GetAccessToken())
	self, err := me.GetMe(ctx, &authv1.GetMeRequest{})
	if err != nil || self.GetEmail() != adminEmail {
		t.Errorf("I am %v (%v)", self, err)
	}
	foreignRun(ctx, t, conn, i)
	_, err = authv1.NewServiceTokenServiceClient(conn).IssueServiceToken(ctx, &authv1.IssueServiceTokenRequest{ClientId: "chat", Audience: "auth"})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("an internal RPC on the public port: %v", err)
	}
}

// foreignRun asks by gRPC, and reads the same run by both protocols.
func foreignRun(ctx context.Context, t *testing.T, conn *grpc.ClientConn, i *installation) {
	t.Helper()
	conversations, runs := chatv1.NewConversationServiceClient(conn), chatv1.NewRunServiceClient(conn)
	conversation, err := conversations.CreateConversation(ctx, &chatv1.CreateConversationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := conversations.SendMessage(ctx, &chatv1.SendMessageRequest{ConversationId: conversation.GetId(), Content: t.Name(), Model: stubModel})
	if err != nil {
		t.Fatal(err)
	}
	log := drain(t, sent)
	const after = 3
	watched, err := runs.WatchRun(ctx, &chatv1.WatchRunRequest{RunId: log[0].GetRunId(), AfterSeq: after})
	if err != nil {
		t.Fatal(err)
	}
	frames := i.admin(t).follow(log[0].GetRunId(), 0).readAll()
	checkComplete(t, frames)
	if rest := drain(t, watched); len(rest) != len(log)-after || len(frames) != len(log) {
		t.Fatalf("%d events by SendMessage, %d after %d by WatchRun, %d by SSE", len(log), len(rest), after, len(frames))
	} else {
		for n, event := range rest {
			if !proto.Equal(event, log[n+after]) {
				t.Errorf("event %v was read again as %v", log[n+after], event)
			}
		}
	}
	for n, f := range frames {
		if !proto.Equal(f.event, log[n]) {
			t.Errorf("event %v is by SSE %v", log[n], f.event)
		}
	}
	checkAbsent(ctx, t, runs)
}

// checkAbsent finds the reason of an error in its details.
func checkAbsent(ctx context.Context, t *testing.T, runs chatv1.RunServiceClient) {
	t.Helper()
	_, err := runs.GetRun(ctx, &chatv1.GetRunRequest{Id: id.New()})
	reason := ""
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	if status.Code(err) != codes.NotFound || reason != "NOT_FOUND" {
		t.Errorf("an absent run: %v, reason %q", err, reason)
	}
}

func drain(t *testing.T, events grpc.ServerStreamingClient[chatv1.RunEvent]) []*chatv1.RunEvent {
	t.Helper()
	var out []*chatv1.RunEvent
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, event)
	}
}
