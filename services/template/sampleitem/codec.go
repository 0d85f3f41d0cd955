package sampleitem

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/entity"
	templatev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/template/v1"
)

func decode(in *templatev1.SampleItem) SampleItem {
	return SampleItem{
		Meta:        entity.Meta{ID: in.GetId()},
		DisplayName: in.GetDisplayName(),
		Description: in.GetDescription(),
	}
}

func encode(s SampleItem) *templatev1.SampleItem {
	return &templatev1.SampleItem{
		Id:          s.ID,
		DisplayName: s.DisplayName,
		Description: s.Description,
		CreateTime:  timestamppb.New(s.CreateTime),
		UpdateTime:  timestamppb.New(s.UpdateTime),
		Etag:        s.Etag(),
	}
}
