package auth_test

import (
	"testing"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S21, S22: a disabled user neither signs in nor refreshes, its keys end, and the
// feed of revocations says so; enabled again, it signs in again.
func TestS22ADisabledUserLosesEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, principal := b.signUp(t, "ada@example.org")
	secret := b.createKey(t, ada, "chat.read").GetSecret()
	must(t, b.service.DisableUser(t.Context(), "Ada@Example.org", true))
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: password})
	wantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.service.APIKey(t.Context(), keys.Hash(secret))
	wantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	found, err := b.service.Revocations(t.Context(), principal.IssueTime)
	must(t, err)
	var session, user bool
	for _, r := range found {
		session = session || r.SessionID == principal.SessionID
		user = user || r.UserID == principal.UserID && r.OrganizationID == ""
	}
	if !session || !user {
		t.Errorf("the feed says %+v", found)
	}
	must(t, b.service.DisableUser(t.Context(), "ada@example.org", false))
	b.signIn(t, "ada@example.org")
	wantReason(t, b.service.DisableUser(t.Context(), "nobody@example.org", true), faultv1.Reason_REASON_NOT_FOUND)
}

func TestLostFactorsAreReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, principal := b.signUp(t, "ada@example.org")
	b.database.AdminExec(t, `INSERT INTO auth.recovery_codes (user_id, code_hash) VALUES ($1, '\x00')`, principal.UserID)
	must(t, b.service.ResetFactors(t.Context(), "ada@example.org"))
	if left := adminText(t, b, "SELECT count(*)::text FROM auth.recovery_codes"); left != "0" {
		t.Errorf("%s recovery codes are left", left)
	}
	_, err := b.sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	wantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

func TestOperatorsAreMadeAndUnmade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, before := b.signUp(t, "ada@example.org")
	for _, operator := range []bool{true, false} {
		must(t, b.service.GrantOperator(t.Context(), "ada@example.org", operator))
		if p := b.principal(t, b.signIn(t, "ada@example.org")); p.HasRole("operator") != operator || !p.HasRole("owner") {
			t.Errorf("operator %v: the token says %q", operator, p.Roles)
		}
	}
	found, err := b.service.Revocations(t.Context(), before.IssueTime)
	must(t, err)
	if len(found) != 2 || found[0].UserID != before.UserID || found[1].UserID != before.UserID {
		t.Errorf("the feed says %+v", found)
	}
}
