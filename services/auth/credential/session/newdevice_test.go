package session_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestSignIn_NewDevice_InformsUserOnce(t *testing.T) {
	t.Parallel()
	p := authtest.SetupMail(t, clock.System(), false)
	l := &throttled{Bundle: p.Bundle, gateway: serviceToken(t, p.Bundle)}
	p.SignUp(t, authtest.Ada)
	const windows = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 http://evil.test"
	signIn := func(agent, address string) {
		ctx := metadata.AppendToOutgoingContext(l.fromAddress(t.Context(), address), rpcserver.MetadataUserAgent, agent)
		_, err := p.Sessions.SignIn(ctx, &authv1.SignInRequest{Email: authtest.Ada, Password: authtest.Password})
		authtest.Must(t, err)
	}
	signIn(windows, "192.0.2.1")
	m := p.Server.Wait(t, authtest.Ada, "A sign-in from a new device")
	if !strings.Contains(m.Text, "Chrome on Windows, at 192.0.2.1") || strings.Contains(m.Text, "evil.test") || strings.Contains(m.HTML, "evil.test") {
		t.Errorf("the email is %s", m.Text)
	}
	p.Server.Forget()
	signIn(strings.Replace(windows, "140", "141", 1), "192.0.3.1")
	signIn(windows, "198.51.100.1")
	m = p.Server.Wait(t, authtest.Ada, "A sign-in from a new device")
	if !strings.Contains(m.Text, "198.51.100.1") {
		t.Errorf("the email is %s", m.Text)
	}
	if sent := authtest.AdminText(t, p.Bundle, "SELECT sum(letters)::text FROM auth.letter_counts WHERE kind = 'new_device'"); sent != "2" {
		t.Errorf("%s emails", sent)
	}
}
