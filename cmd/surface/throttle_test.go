package surface_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S11: after ten wrong passwords from one address, the owner of the account can still sign in from
// another address.
func TestS11OwnerSignsInFromAnotherAddress(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, map[string]string{"GATEHOUSE_RATE_LIMITS": "on", "GATEHOUSE_TRUSTED_PROXY_HOPS": "1"})
	signIn := func(address, password string) *http.Response {
		resp := i.RequestWith(t, inprocess.Session{}, http.MethodPost, "/v1/auth/sign-in",
			map[string]string{"email": inprocess.AdminEmail, "password": password}, map[string]string{"X-Forwarded-For": address})
		_ = resp.Body.Close()
		return resp
	}
	refused := 0
	for range 10 {
		switch resp := signIn("192.0.2.1", "a wrong long password"); resp.StatusCode {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			refused++
			if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 1 {
				t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
			}
		default:
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if refused != 1 {
		t.Errorf("%d of ten were refused without a check of the password", refused)
	}
	if resp := signIn("192.0.2.1", inprocess.AdminPassword); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the address is not limited: %d", resp.StatusCode)
	}
	if resp := signIn("192.0.2.2", inprocess.AdminPassword); resp.StatusCode != http.StatusOK {
		t.Errorf("the owner is locked out: %d", resp.StatusCode)
	}
}
