package auth_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestTheOwnAccountIsChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens, _ := b.signUp(t, "ada@example.org")
	ctx := with(t.Context(), tokens)
	before, err := b.accounts.GetMe(ctx, &authv1.GetMeRequest{})
	must(t, err)
	after, err := b.accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{
		Me:         &authv1.Me{DisplayName: " Ada Lovelace ", Locale: "de-AT", Etag: before.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name", "locale"}},
	})
	must(t, err)
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
		_, err := b.accounts.UpdateMe(ctx, &authv1.UpdateMeRequest{Me: tc.me, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{tc.path}}})
		wantReason(t, err, tc.want)
		if v := fault.From(err).Violations(); tc.field != "" && (len(v) != 1 || v[0].Field != tc.field) {
			t.Errorf("%s: violations %+v", name, v)
		}
	}
}

// S21: a new password ends the user's other sessions, and keeps the one that changed
// it; the old password does not work any more.
func TestANewPasswordEndsOtherSessions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own, _ := b.signUp(t, "ada@example.org")
	other := b.signIn(t, "ada@example.org")
	change := func(current, next string) error {
		_, err := b.accounts.ChangePassword(with(t.Context(), own), &authv1.ChangePasswordRequest{CurrentPassword: current, NewPassword: next})
		return err
	}
	const next = "another staple entirely"
	wantReason(t, change("wrong horse battery", next), faultv1.Reason_REASON_INVALID_CREDENTIALS)
	err := change(password, "ada@example.org")
	wantReason(t, err, faultv1.Reason_REASON_INVALID_ARGUMENT)
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "newPassword" {
		t.Errorf("violations %+v", v)
	}
	must(t, change(password, next))

	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: other.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: own.GetRefreshToken()})
	must(t, err)
	_, err = b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: next})
	must(t, err)
}
