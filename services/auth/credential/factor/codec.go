package factor

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// encodePasskey returns a passkey as the contract has it.
func encodePasskey(k passkey) *authv1.Passkey {
	out := &authv1.Passkey{Id: k.id, DisplayName: k.displayName, Synced: k.synced, CreateTime: timestamppb.New(k.created)}
	if k.lastUsed != nil {
		out.LastUsedTime = timestamppb.New(*k.lastUsed)
	}
	return out
}
