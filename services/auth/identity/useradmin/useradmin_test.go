package useradmin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

func TestUsers_OperatorManagesThem(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	operator, ctx := b.Operator(t), t.Context()
	op := authtest.With(ctx, operator)
	created, err := b.UserAdmin().CreateUser(op, &authv1.CreateUserRequest{Email: "ada@example.org", Password: authtest.Password, DisplayName: "Ada"})
	authtest.Must(t, err)
	if !created.GetEmailVerified() || created.GetDisabled() || created.GetDisplayName() != "Ada" {
		t.Errorf("created %v", created)
	}
	_, err = b.UserAdmin().CreateUser(op, &authv1.CreateUserRequest{Email: "ADA@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_EMAIL_TAKEN)
	ada := b.SignIn(t, "ada@example.org")
	adas := b.Principal(t, ada)
	if adas.HasRole("operator") {
		t.Error("the user is an operator")
	}

	got, err := b.UserAdmin().GetUser(op, &authv1.GetUserRequest{Id: created.GetId()})
	authtest.Must(t, err)
	if got.GetEmail() != "ada@example.org" {
		t.Errorf("got %v", got)
	}
	renamed, err := b.UserAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: created.GetId(), DisplayName: "Countess", Etag: got.GetEtag()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
	})
	authtest.Must(t, err)
	if renamed.GetDisplayName() != "Countess" || renamed.GetEtag() == got.GetEtag() {
		t.Errorf("renamed %v", renamed)
	}
	_, err = b.UserAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: created.GetId(), DisplayName: "x", Etag: got.GetEtag()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
	})
	authtest.WantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = b.UserAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: created.GetId(), Email: "eve@example.org"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"email"}},
	})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)

	authtest.Must(t, b.SetDisabled(t, operator, created.GetId(), true))
	_, err = b.Sessions.SignIn(ctx, &authv1.SignInRequest{Email: "ada@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.Sessions.Refresh(ctx, &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	revoked, err := b.Service.Revocations(ctx, clock.System().Now().Add(-time.Minute))
	authtest.Must(t, err)
	found := false
	for _, r := range revoked {
		found = found || r.UserID == created.GetId()
	}
	if !found {
		t.Error("the feed has no erasure")
	}
	authtest.Must(t, b.SetDisabled(t, operator, created.GetId(), false))
	b.SignIn(t, "ada@example.org")

	root := b.Principal(t, operator)
	authtest.WantReason(t, b.SetDisabled(t, operator, root.UserID, true), faultv1.Reason_REASON_CONFLICT)
	_, err = b.UserAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: root.UserID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	_, err = b.UserAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: created.GetId()})
	authtest.Must(t, err)
	for _, err := range []error{
		func() error {
			_, err := b.UserAdmin().GetUser(op, &authv1.GetUserRequest{Id: created.GetId()})
			return err
		}(),
		func() error {
			_, err := b.UserAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: created.GetId()})
			return err
		}(),
		b.SetDisabled(t, operator, created.GetId(), false),
	} {
		authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	// The address can be used again.
	b.SignUp(t, "ada@example.org")
}

func TestListUsers_FiltersAndOrders(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	operator := b.Operator(t)
	for n := range 5 {
		b.SignUp(t, fmt.Sprintf("user%d@example.org", n))
	}
	op := authtest.With(t.Context(), operator)
	var listed []string
	req := &authv1.ListUsersRequest{PageSize: 2, OrderBy: "email", Filter: `email != "root@example.org"`}
	for {
		page, err := b.UserAdmin().ListUsers(op, req)
		authtest.Must(t, err)
		for _, u := range page.GetUsers() {
			listed = append(listed, u.GetEmail())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if got := fmt.Sprint(listed); got != "[user0@example.org user1@example.org user2@example.org user3@example.org user4@example.org]" {
		t.Errorf("listed %s", got)
	}
	_, err := b.UserAdmin().ListUsers(op, &authv1.ListUsersRequest{Filter: `passwordHash = "x"`})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
}

// S46: only operators may read and change users of other organizations. The role in the
// token and the policy of the database both enforce it.
func TestS46OnlyOperatorsManageUsers(t *testing.T) {
	t.Parallel()
	b := authtest.SetupWith(t, clock.System(), auth.Config{})
	ada, principal := b.SignUp(t, "ada@example.org")
	_, other := b.SignUp(t, "bea@example.org")
	_, err := b.UserAdmin().ListUsers(authtest.With(t.Context(), ada), &authv1.ListUsersRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	authtest.WantReason(t, b.SetDisabled(t, ada, other.UserID, true), faultv1.Reason_REASON_PERMISSION_DENIED)
	db := b.Database.Open(t, migrations.Role)
	for who, want := range map[string]int{principal.UserID: 1, b.Principal(t, b.Operator(t)).UserID: 3} {
		seen, err := postgres.QueryOne(t.Context(), db, postgres.Scope{UserID: who}, pgx.RowTo[int], "SELECT count(*) FROM users")
		authtest.Must(t, err)
		if seen != want {
			t.Errorf("the database returns %d users, want %d", seen, want)
		}
	}
	// A token of a former operator gets no more than the database allows.
	operator := b.Operator(t)
	authtest.Must(t, b.Service.GrantOperator(t.Context(), "root@example.org", false))
	_, err = b.UserAdmin().GetUser(authtest.With(t.Context(), operator), &authv1.GetUserRequest{Id: other.UserID})
	authtest.WantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	authtest.WantReason(t, b.SetDisabled(t, operator, other.UserID, true), faultv1.Reason_REASON_NOT_FOUND)
}
