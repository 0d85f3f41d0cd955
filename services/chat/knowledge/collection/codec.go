package collection

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

func decode(in *knowledgev1.Collection) Collection {
	return Collection{Meta: entity.Meta{ID: in.GetId()}, DisplayName: in.GetDisplayName(), Description: in.GetDescription()}
}

func encode(c Collection) *knowledgev1.Collection {
	return &knowledgev1.Collection{
		Id:            c.ID,
		DisplayName:   c.DisplayName,
		Description:   c.Description,
		DocumentCount: c.DocumentCount,
		ChunkCount:    c.ChunkCount,
		CreateTime:    timestamppb.New(c.CreateTime),
		UpdateTime:    timestamppb.New(c.UpdateTime),
		Etag:          c.Etag(),
	}
}
