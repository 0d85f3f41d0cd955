package conversation

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/id"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

func decode(in *chatv1.Conversation) Conversation {
	return Conversation{
		ID: in.GetId(), Title: in.GetTitle(), AssistantID: strings.ToLower(in.GetAssistantId()),
		CollectionIDs: id.Distinct(in.GetCollectionIds()), // not nil: the column is NOT NULL
	}
}

func encode(c Conversation) *chatv1.Conversation {
	out := &chatv1.Conversation{
		Id: c.ID, Title: c.Title, AssistantId: c.AssistantID, CollectionIds: c.CollectionIDs,
		CreateTime: timestamppb.New(c.CreateTime), UpdateTime: timestamppb.New(c.UpdateTime), Etag: c.Etag(),
	}
	if c.LastMessageTime != nil {
		out.LastMessageTime = timestamppb.New(*c.LastMessageTime)
	}
	if c.Active != nil {
		out.ActiveRun = &chatv1.Conversation_ActiveRun{Id: c.Active.ID, State: c.Active.State, LastSeq: c.Active.LastSeq}
	}
	return out
}
