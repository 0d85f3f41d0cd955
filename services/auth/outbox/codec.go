package outbox

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/notify"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encode returns a message as the contract has it.
func encode(m notify.Written) *authv1.OutboxMessage {
	return &authv1.OutboxMessage{
		Id: m.ID, Channel: string(m.Channel), To: m.To, Subject: m.Subject, Text: m.Text, Html: m.HTML,
		CreateTime: timestamppb.New(m.Time),
	}
}
