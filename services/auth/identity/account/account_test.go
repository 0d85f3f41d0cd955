package account_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestUpdateMe_ChangesProfile(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, _ := b.SignUp(t, "ada@example.org")
	ctx := authtest.With(t.Context(), tokens)
	before, err := b.Accounts.GetMe(ctx, &authv1.GetMeRequest{})
	authtest.Must(t, err)
	after, err := b.Accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{
		Me:         &authv1.Me{DisplayName: " Ada Lovelace ", Locale: "de-AT", Etag: before.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name", "locale"}},
	})
	authtest.Must(t, err)
	if after.GetDisplayName() != "Ada Lovelace" || after.GetLocale() != "de-AT" || after.GetEtag() == before.GetEtag() {
		t.Errorf("changed to %v", after)
	}
	for name, tc := range map[string]struct {
		me    *authv1.Me
		path  string
		want  faultv1.Reason
		field string
	}{
		"stale":         {&authv1.Me{DisplayName: "x", Etag: before.GetEtag()}, "display_name", faultv1.Reason_REASON_ETAG_MISMATCH, ""},
		"nameless":      {&authv1.Me{DisplayName: " "}, "display_name", faultv1.Reason_REASON_INVALID_ARGUMENT, "me.displayName"},
		"no language":   {&authv1.Me{Locale: "not a language"}, "locale", faultv1.Reason_REASON_INVALID_ARGUMENT, "me.locale"},
		"another field": {&authv1.Me{Roles: []string{"operator"}}, "roles", faultv1.Reason_REASON_INVALID_ARGUMENT, "updateMask"},
	} {
		_, err := b.Accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{Me: tc.me, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{tc.path}}})
		authtest.WantReason(t, err, tc.want)
		if v := fault.From(err).Violations(); tc.field != "" && (len(v) != 1 || v[0].Field != tc.field) {
			t.Errorf("%s: violations %+v", name, v)
		}
	}
}

// S21: a new password ends the user's other sessions, and keeps the one that changed
// it. The old password no longer works.
func TestChangePassword_EndsOtherSessions(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	own, _ := b.SignUp(t, "ada@example.org")
	other := b.SignIn(t, "ada@example.org")
	change := func(current, next string) error {
		_, err := b.Accounts.ChangePassword(authtest.With(t.Context(), own), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
		return err
	}
	const next = "another staple entirely"
	authtest.WantReason(t, change("wrong horse battery", next), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	err := change(authtest.Password, "ada@example.org")
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "newPassword" {
		t.Errorf("violations %+v", v)
	}
	authtest.Must(t, change(authtest.Password, next))

	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: other.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: own.GetRefreshToken()})
	authtest.Must(t, err)
	_, err = b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: next})
	authtest.Must(t, err)
}
