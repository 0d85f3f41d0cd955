package conversation_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/pgtest"
	"github.com/gatehouse/gatehouse/platform/postgres"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/conversation"
	"github.com/gatehouse/gatehouse/services/chat/migrations"
)

// mute is a messenger that the tests do not use.
type mute struct{}

func (mute) StartMessage(context.Context, *chatv1.SendMessageRequest) (*chatv1.StartMessageResponse, error) {
	return nil, fault.NotFound("run")
}

func (mute) SendMessage(*chatv1.SendMessageRequest, grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	return fault.NotFound("run")
}

func (mute) Check(context.Context, postgres.Scope, string, []string) error { return nil }

type bundle struct {
	db      *postgres.DB
	store   *conversation.Store
	service *conversation.Service
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db := pgtest.New(t, migrations.Set()).Open(t, migrations.Role)
	tokens, err := paging.NewTokens(pgtest.SecretKey())
	must(t, err)
	store := conversation.NewStore(db, tokens)
	service, err := conversation.New(conversation.Deps{Store: store, Messenger: mute{}, Clock: clock.System()})
	must(t, err)
	return &bundle{db: db, store: store, service: service}
}

func as(t *testing.T, scope postgres.Scope) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), &identity.Principal{OrganizationID: scope.OrganizationID, UserID: scope.UserID})
}

func newScope() postgres.Scope { return postgres.Scope{OrganizationID: id.New(), UserID: id.New()} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, want faultv1.Reason) {
	t.Helper()
	if got := fault.ReasonOf(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func TestConversation_CreateUpdateDelete_ChecksTheEtag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := as(t, newScope())
	made, err := b.service.CreateConversation(ctx, &chatv1.CreateConversationRequest{
		Conversation: &chatv1.Conversation{Title: "Leave", CollectionIds: []string{id.New()}},
	})
	must(t, err)
	patched, err := b.service.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{
		Conversation: &chatv1.Conversation{Id: made.GetId(), Title: "Holidays", Etag: made.GetEtag()},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"title"}},
	})
	must(t, err)
	if patched.GetTitle() != "Holidays" || len(patched.GetCollectionIds()) != 1 || patched.GetEtag() == made.GetEtag() {
		t.Errorf("patched to %v", patched)
	}
	_, err = b.service.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{
		Conversation: &chatv1.Conversation{Id: made.GetId(), Title: "stale", Etag: made.GetEtag()},
	})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	stale := metadata.NewIncomingContext(ctx, metadata.Pairs("if-match", `"`+made.GetEtag()+`"`))
	_, err = b.service.DeleteConversation(stale, &chatv1.DeleteConversationRequest{Id: made.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = b.service.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{
		Conversation: &chatv1.Conversation{Id: made.GetId()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"etag"}},
	})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = b.service.DeleteConversation(ctx, &chatv1.DeleteConversationRequest{Id: made.GetId()})
	must(t, err)
	_, err = b.service.GetConversation(ctx, &chatv1.GetConversationRequest{Id: made.GetId()})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
}

func TestS41ConversationsOfOthersAreAbsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scope := newScope()
	made, err := b.service.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
	must(t, err)
	for name, other := range map[string]postgres.Scope{
		"a colleague":                           {OrganizationID: scope.OrganizationID, UserID: id.New()},
		"the user, in another organization":     {OrganizationID: id.New(), UserID: scope.UserID},
		"another user, in another organization": newScope(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := as(t, other)
			_, err := b.service.GetConversation(ctx, &chatv1.GetConversationRequest{Id: made.GetId()})
			wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
			_, err = b.service.ListMessages(ctx, &chatv1.ListMessagesRequest{ConversationId: made.GetId()})
			wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
			_, err = b.service.UpdateConversation(ctx, &chatv1.UpdateConversationRequest{
				Conversation: &chatv1.Conversation{Id: made.GetId(), Title: "mine"},
			})
			wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
			_, err = b.service.DeleteConversation(ctx, &chatv1.DeleteConversationRequest{Id: made.GetId()})
			wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
			listed, err := b.service.ListConversations(ctx, &chatv1.ListConversationsRequest{})
			must(t, err)
			if len(listed.GetConversations()) != 0 {
				t.Errorf("listed %v", listed)
			}
		})
	}
}

func TestListConversations_SecondPage_HasTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := as(t, newScope())
	for range 3 {
		_, err := b.service.CreateConversation(ctx, &chatv1.CreateConversationRequest{})
		must(t, err)
	}
	first, err := b.service.ListConversations(ctx, &chatv1.ListConversationsRequest{PageSize: 2})
	must(t, err)
	second, err := b.service.ListConversations(ctx, &chatv1.ListConversationsRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	must(t, err)
	if len(first.GetConversations()) != 2 || len(second.GetConversations()) != 1 || second.GetNextPageToken() != "" {
		t.Errorf("pages of %d and %d", len(first.GetConversations()), len(second.GetConversations()))
	}
}

func TestListMessages_Pages_AreOldestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scope := newScope()
	made, err := b.service.CreateConversation(as(t, scope), &chatv1.CreateConversationRequest{})
	must(t, err)
	at := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	for i, text := range []string{"first\nof them", "second", "third"} {
		m := &chatv1.Message{
			Id: id.New(), ConversationId: made.GetId(), Role: chatv1.Message_USER, Content: text,
			CreateTime: timestamppb.New(at.Add(time.Duration(i) * time.Minute)),
		}
		must(t, b.db.InTx(t.Context(), scope, func(ctx context.Context, tx pgx.Tx) error {
			return b.store.AddMessage(ctx, tx, scope, m)
		}))
	}
	var texts []string
	for token := ""; ; {
		page, err := b.service.ListMessages(as(t, scope), &chatv1.ListMessagesRequest{ConversationId: made.GetId(), PageSize: 2, PageToken: token})
		must(t, err)
		for _, m := range page.GetMessages() {
			texts = append(texts, m.GetContent())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(texts) != 3 || texts[0] != "first\nof them" || texts[2] != "third" {
		t.Errorf("messages in the order %v", texts)
	}
	titled, err := b.service.GetConversation(as(t, scope), &chatv1.GetConversationRequest{Id: made.GetId()})
	must(t, err)
	if titled.GetTitle() != "first of them" || !titled.GetLastMessageTime().AsTime().Equal(at.Add(2*time.Minute)) {
		t.Errorf("the conversation became %v", titled)
	}
}
