package assistant

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/id"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func decode(in *managementv1.Assistant) Assistant {
	return Assistant{
		Meta:          entity.Meta{ID: in.GetId()},
		DisplayName:   in.GetDisplayName(),
		Description:   in.GetDescription(),
		Instructions:  in.GetInstructions(),
		Model:         in.GetModel(),
		Temperature:   in.Temperature,
		CollectionIDs: id.Distinct(in.GetCollectionIds()),
		Tools:         in.GetTools(),
	}
}

func encode(a Assistant) *managementv1.Assistant {
	out := &managementv1.Assistant{
		Id:            a.ID,
		DisplayName:   a.DisplayName,
		Description:   a.Description,
		Instructions:  a.Instructions,
		Model:         a.Model,
		Temperature:   a.Temperature,
		CollectionIds: a.CollectionIDs,
		Tools:         a.Tools,
		CreateTime:    timestamppb.New(a.CreateTime),
		UpdateTime:    timestamppb.New(a.UpdateTime),
		Etag:          a.Etag(),
	}
	if a.DeleteTime != nil {
		out.DeleteTime = timestamppb.New(*a.DeleteTime)
	}
	return out
}
