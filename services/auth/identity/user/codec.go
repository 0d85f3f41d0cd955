package user

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// Message returns the user as the contract has it.
func (u User) Message() *authv1.User {
	return &authv1.User{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, Locale: u.Locale,
		Disabled: u.Disabled, CreateTime: timestamppb.New(u.CreateTime), UpdateTime: timestamppb.New(u.UpdateTime),
		Etag: u.Etag(),
	}
}
