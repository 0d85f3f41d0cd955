package auth_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/postgres"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/migrations"
)

func (b *bundle) userAdmin() authv1.UserServiceClient { return authv1.NewUserServiceClient(b.conn) }

func (b *bundle) setDisabled(t *testing.T, operator *authv1.TokenResponse, userID string, disabled bool) error {
	t.Helper()
	_, err := b.userAdmin().UpdateUser(with(t.Context(), operator), &authv1.UpdateUserRequest{
		User: &authv1.User{Id: userID, Disabled: disabled}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled"}},
	})
	return err
}

func TestOperatorsManageUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	operator, ctx := b.operator(t), t.Context()
	op := with(ctx, operator)
	made, err := b.userAdmin().CreateUser(op, &authv1.CreateUserRequest{Email: "ada@example.org", Password: password, DisplayName: "Ada"})
	must(t, err)
	if !made.GetEmailVerified() || made.GetDisabled() || made.GetDisplayName() != "Ada" {
		t.Errorf("made %v", made)
	}
	_, err = b.userAdmin().CreateUser(op, &authv1.CreateUserRequest{Email: "ADA@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_EMAIL_TAKEN)
	ada := b.signIn(t, "ada@example.org")
	adas := b.principal(t, ada)
	if adas.HasRole("operator") {
		t.Error("the user is an operator")
	}

	got, err := b.userAdmin().GetUser(op, &authv1.GetUserRequest{Id: made.GetId()})
	must(t, err)
	if got.GetEmail() != "ada@example.org" {
		t.Errorf("got %v", got)
	}
	renamed, err := b.userAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: made.GetId(), DisplayName: "Countess", Etag: got.GetEtag()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
	})
	must(t, err)
	if renamed.GetDisplayName() != "Countess" || renamed.GetEtag() == got.GetEtag() {
		t.Errorf("renamed %v", renamed)
	}
	_, err = b.userAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: made.GetId(), DisplayName: "x", Etag: got.GetEtag()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
	})
	wantReason(t, err, faultv1.Reason_REASON_ETAG_MISMATCH)
	_, err = b.userAdmin().UpdateUser(op, &authv1.UpdateUserRequest{
		User: &authv1.User{Id: made.GetId(), Email: "eve@example.org"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"email"}},
	})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)

	must(t, b.setDisabled(t, operator, made.GetId(), true))
	_, err = b.sessions.SignIn(ctx, &authv1.SignInRequest{Email: "ada@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.sessions.Refresh(ctx, &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	revoked, err := b.service.Revocations(ctx, clock.System().Now().Add(-time.Minute))
	must(t, err)
	found := false
	for _, r := range revoked {
		found = found || r.UserID == made.GetId()
	}
	if !found {
		t.Error("no service hears of it")
	}
	must(t, b.setDisabled(t, operator, made.GetId(), false))
	b.signIn(t, "ada@example.org")

	root := b.principal(t, operator)
	wantReason(t, b.setDisabled(t, operator, root.UserID, true), faultv1.Reason_REASON_CONFLICT)
	_, err = b.userAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: root.UserID})
	wantReason(t, err, faultv1.Reason_REASON_CONFLICT)
	_, err = b.userAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: made.GetId()})
	must(t, err)
	for _, err := range []error{
		func() error { _, err := b.userAdmin().GetUser(op, &authv1.GetUserRequest{Id: made.GetId()}); return err }(),
		func() error {
			_, err := b.userAdmin().DeleteUser(op, &authv1.DeleteUserRequest{Id: made.GetId()})
			return err
		}(),
		b.setDisabled(t, operator, made.GetId(), false),
	} {
		wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	}
	// The address is free again.
	b.signUp(t, "ada@example.org")
}

func TestOperatorsListUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	operator := b.operator(t)
	for n := range 5 {
		b.signUp(t, fmt.Sprintf("user%d@example.org", n))
	}
	op := with(t.Context(), operator)
	var listed []string
	req := &authv1.ListUsersRequest{PageSize: 2, OrderBy: "email", Filter: `email != "root@example.org"`}
	for {
		page, err := b.userAdmin().ListUsers(op, req)
		must(t, err)
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
	_, err := b.userAdmin().ListUsers(op, &authv1.ListUsersRequest{Filter: `passwordHash = "x"`})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
}

// S46: what spans organizations is the operators' alone, whoever says so: the role in
// the token, and the database behind it.
func TestS46UsersAreTheOperatorsToManage(t *testing.T) {
	t.Parallel()
	b := setupWith(t, clock.System(), auth.Config{})
	ada, principal := b.signUp(t, "ada@example.org")
	_, other := b.signUp(t, "bea@example.org")
	_, err := b.userAdmin().ListUsers(with(t.Context(), ada), &authv1.ListUsersRequest{})
	wantReason(t, err, faultv1.Reason_REASON_PERMISSION_DENIED)
	wantReason(t, b.setDisabled(t, ada, other.UserID, true), faultv1.Reason_REASON_PERMISSION_DENIED)
	db := b.database.Open(t, migrations.Role)
	for who, want := range map[string]int{principal.UserID: 1, b.principal(t, b.operator(t)).UserID: 3} {
		seen, err := postgres.QueryOne(t.Context(), db, postgres.Scope{UserID: who}, pgx.RowTo[int], "SELECT count(*) FROM users")
		must(t, err)
		if seen != want {
			t.Errorf("the database shows %d users, want %d", seen, want)
		}
	}
	// A token from when somebody was an operator shows no more than the database does.
	operator := b.operator(t)
	must(t, b.service.GrantOperator(t.Context(), "root@example.org", false))
	_, err = b.userAdmin().GetUser(with(t.Context(), operator), &authv1.GetUserRequest{Id: other.UserID})
	wantReason(t, err, faultv1.Reason_REASON_NOT_FOUND)
	wantReason(t, b.setDisabled(t, operator, other.UserID, true), faultv1.Reason_REASON_NOT_FOUND)
}
