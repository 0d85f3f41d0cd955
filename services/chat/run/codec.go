package run

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

func encode(r Run) *chatv1.Run {
	return &chatv1.Run{
		Id: r.ID, ConversationId: r.ConversationID, MessageId: r.MessageID, State: r.State, LastSeq: r.LastSeq,
		Error: r.Problem, Usage: r.Usage, CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
		MissingCollectionIds: r.MissingCollectionIDs, MissingAssistantId: r.MissingAssistantID,
	}
}
