package document

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

func encode(d Document) *knowledgev1.Document {
	out := &knowledgev1.Document{
		Id:           d.ID,
		CollectionId: d.CollectionID,
		Title:        d.Title,
		ContentType:  d.ContentType,
		SizeBytes:    d.SizeBytes,
		State:        knowledgev1.Document_State(knowledgev1.Document_State_value[string(d.State)]),
		Progress:     d.Progress,
		CreateTime:   timestamppb.New(d.CreateTime),
		UpdateTime:   timestamppb.New(d.UpdateTime),
		Etag:         d.Etag(),
	}
	if d.FailureReason != "" {
		out.Failure = &knowledgev1.Document_Failure{Reason: d.FailureReason, Message: d.FailureMessage}
	}
	return out
}
