package assistant

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/id"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

func decode(in *managementv1.Assistant) Assistant {
	return Assistant{
		ID:            in.GetId(),
		DisplayName:   in.GetDisplayName(),
		Description:   in.GetDescription(),
		Instructions:  in.GetInstructions(),
		Model:         in.GetModel(),
		Temperature:   in.Temperature,
		CollectionIDs: id.Distinct(in.GetCollectionIds()),
		Tools:         orEmpty(in.GetTools()),
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

func reply(a Assistant, err error) (*managementv1.Assistant, error) {
	if err != nil {
		return nil, err
	}
	return encode(a), nil
}

// orEmpty keeps a list from being NULL in the database.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
