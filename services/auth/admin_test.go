package auth_test

import (
	"testing"

	keys "github.com/gatehouse/gatehouse/platform/apikey"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// S21, S22: a disabled user can neither sign in nor refresh, the API keys stop working,
// and the feed has a revocation. An enabled user can sign in again.
func TestS22DisabledUserLosesAccess(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, principal := b.SignUp(t, "ada@example.org")
	secret := b.CreateKey(t, ada, "chat.read").GetSecret()
	authtest.Must(t, b.Service.DisableUser(t.Context(), "Ada@Example.org", true))
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	_, err = b.Sessions.SignIn(t.Context(), &authv1.SignInRequest{Email: "ada@example.org", Password: authtest.Password})
	authtest.WantReason(t, err, faultv1.Reason_REASON_INVALID_CREDENTIALS)
	_, err = b.Service.APIKey(t.Context(), keys.Hash(secret))
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
	found, err := b.Service.Revocations(t.Context(), principal.IssueTime)
	authtest.Must(t, err)
	var session, user bool
	for _, r := range found {
		session = session || r.SessionID == principal.SessionID
		user = user || r.UserID == principal.UserID && r.OrganizationID == ""
	}
	if !session || !user {
		t.Errorf("the feed has %+v", found)
	}
	authtest.Must(t, b.Service.DisableUser(t.Context(), "ada@example.org", false))
	b.SignIn(t, "ada@example.org")
	authtest.WantReason(t, b.Service.DisableUser(t.Context(), "nobody@example.org", true), faultv1.Reason_REASON_NOT_FOUND)
}

func TestResetFactors_UserSignsInWithPasswordAlone(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	ada, principal := b.SignUp(t, "ada@example.org")
	b.Database.AdminExec(t, `INSERT INTO auth.recovery_codes (user_id, code_hash) VALUES ($1, '\x00')`, principal.UserID)
	authtest.Must(t, b.Service.ResetFactors(t.Context(), "ada@example.org"))
	if left := authtest.AdminText(t, b, "SELECT count(*)::text FROM auth.recovery_codes"); left != "0" {
		t.Errorf("%s recovery codes are left", left)
	}
	_, err := b.Sessions.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: ada.GetRefreshToken()})
	authtest.WantReason(t, err, faultv1.Reason_REASON_REFRESH_TOKEN_INVALID)
}

func TestGrantOperator_ChangesNewTokensAndRevokesOldOnes(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	_, before := b.SignUp(t, "ada@example.org")
	for _, operator := range []bool{true, false} {
		authtest.Must(t, b.Service.GrantOperator(t.Context(), "ada@example.org", operator))
		if p := b.Principal(t, b.SignIn(t, "ada@example.org")); p.HasRole("operator") != operator || !p.HasRole("owner") {
			t.Errorf("operator %v: the token has %q", operator, p.Roles)
		}
	}
	found, err := b.Service.Revocations(t.Context(), before.IssueTime)
	authtest.Must(t, err)
	if len(found) != 2 || found[0].UserID != before.UserID || found[1].UserID != before.UserID {
		t.Errorf("the feed has %+v", found)
	}
}
