// Package export is the room of exports: a user receives a copy of all that the
// installation stores about the user.
//
// The room is in chat because chat may call auth. It reads the account through auth's
// public RPCs, with the credential of the user. Records are read and sent page by page.
// So no account, however large, and no reader, however slow, occupies more memory than one
// page, and a reader that stops reading occupies no database connection.
package export

import (
	"context"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// pageSize is how many records are in memory at once.
const pageSize = 100

// exporter is one export.
type exporter struct {
	service *Service
	stream  grpc.ServerStreamingServer[chatv1.ExportRecord]
	userID  string
	// active are the ids of the organizations that are not deleted.
	active []string
}

func (x *exporter) send(record *chatv1.ExportRecord) error {
	return x.stream.Send(record)
}

// pages calls fetch for each page of a list, from the first to the last.
func pages(fetch func(pageToken string) (next string, err error)) error {
	for token, first := "", true; first || token != ""; first = false {
		var err error
		if token, err = fetch(token); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) conversations(ctx context.Context) error {
	for _, organizationID := range x.active {
		scope := postgres.Scope{OrganizationID: organizationID, UserID: x.userID}
		err := pages(func(token string) (string, error) {
			items, next, err := x.service.deps.Conversations.Page(ctx, scope, paging.Request{PageSize: pageSize, PageToken: token})
			if err != nil {
				return "", err
			}
			for _, c := range items {
				if err := x.conversation(ctx, scope, c); err != nil {
					return "", err
				}
			}
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) conversation(ctx context.Context, scope postgres.Scope, c *chatv1.Conversation) error {
	exported := &chatv1.ExportedConversation{OrganizationId: scope.OrganizationID, Conversation: c}
	if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Conversation{Conversation: exported}}); err != nil {
		return err
	}
	err := pages(func(token string) (string, error) {
		items, next, err := x.service.deps.Conversations.Messages(ctx, scope, c.GetId(), paging.Request{PageSize: pageSize, PageToken: token})
		if err != nil {
			return "", err
		}
		for _, m := range items {
			if err := x.send(&chatv1.ExportRecord{Record: &chatv1.ExportRecord_Message{Message: m}}); err != nil {
				return "", err
			}
		}
		return next, nil
	})
	if fault.Is(err, faultv1.Reason_REASON_NOT_FOUND) {
		return nil // deleted since the page was read
	}
	return err
}
