package authtest

import (
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func (b *Bundle) UserAdmin() authv1.UserServiceClient { return authv1.NewUserServiceClient(b.Conn) }

func (b *Bundle) SetDisabled(t *testing.T, operator *authv1.TokenResponse, userID string, disabled bool) error {
	t.Helper()
	_, err := b.UserAdmin().UpdateUser(With(t.Context(), operator), &authv1.UpdateUserRequest{
		User: &authv1.User{Id: userID, Disabled: disabled}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
	})
	return err
}
