package auth_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

func TestASignInFromANewDeviceIsToldOnce(t *testing.T) {
	t.Parallel()
	p := setupMail(t, clock.System(), false)
	l := &throttled{bundle: p.bundle, gateway: serviceToken(t, p.bundle)}
	p.signUp(t, ada)
	const windows = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 http://evil.test"
	signIn := func(agent, address string) {
		ctx := metadata.AppendToOutgoingContext(l.fromAddress(t.Context(), address), rpcserver.MetadataUserAgent, agent)
		_, err := p.sessions.SignIn(ctx, &authv1.SignInRequest{Email: ada, Password: password})
		must(t, err)
	}
	signIn(windows, "192.0.2.1")
	m := p.server.Wait(t, ada, "A sign-in from a new device")
	if !strings.Contains(m.Text, "Chrome on Windows, at 192.0.2.1") || strings.Contains(m.Text, "evil.test") || strings.Contains(m.HTML, "evil.test") {
		t.Errorf("the mail says %s", m.Text)
	}
	p.server.Forget()
	signIn(strings.Replace(windows, "140", "141", 1), "192.0.3.1")
	signIn(windows, "198.51.100.1")
	m = p.server.Wait(t, ada, "A sign-in from a new device")
	if !strings.Contains(m.Text, "198.51.100.1") {
		t.Errorf("the mail says %s", m.Text)
	}
	if told := adminText(t, p.bundle, "SELECT sum(letters)::text FROM auth.letter_counts WHERE kind = 'new_device'"); told != "2" {
		t.Errorf("%s letters", told)
	}
}

func TestS18AChangeOfFactorsIsTold(t *testing.T) {
	t.Parallel()
	clk := clock.System()
	p := setupMail(t, clk, false)
	tokens, _ := p.signUp(t, ada)
	key := newKey(t)
	registered := p.registerPasskey(t, tokens, key)
	p.server.Wait(t, ada, "A second factor was added")
	fresh, err := p.sessions.StepUp(with(t.Context(), tokens), &authv1.StepUpRequest{
		Credential: &authv1.StepUpRequest_Passkey{Passkey: signPasskey(t, key, p.beginPasskeySignIn(t, ""))},
	})
	must(t, err)
	_, err = p.passkeys.DeletePasskey(with(t.Context(), fresh), &authv1.DeletePasskeyRequest{Id: registered.GetPasskey().GetId()})
	must(t, err)
	p.server.Wait(t, ada, "A second factor was removed")
}
