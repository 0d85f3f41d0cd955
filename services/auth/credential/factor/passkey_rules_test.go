package factor

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestRelyingParty_IsTheHostOfThePublicURL(t *testing.T) {
	t.Parallel()
	for publicURL, want := range map[string][2]string{
		"https://auth.example":           {"auth.example", "https://auth.example"},
		"https://auth.example/base/":     {"auth.example", "https://auth.example"},
		"https://auth.example:8443":      {"auth.example", "https://auth.example:8443"},
		"http://127.0.0.1:8080":          {"localhost", "http://localhost:8080"},
		"http://[::1]:8080":              {"localhost", "http://localhost:8080"},
		"https://192.0.2.1":              {"", ""},
		"https://[2001:db8::1]":          {"", ""},
		"https://127.0.0.1.auth.example": {"127.0.0.1.auth.example", "https://127.0.0.1.auth.example"},
	} {
		host, origin, err := relyingParty(publicURL)
		if err != nil || host != want[0] || origin != want[1] {
			t.Errorf("%s: %q, %q, %v", publicURL, host, origin, err)
		}
	}
	if _, _, err := relyingParty("https://[::1"); err == nil {
		t.Error("an unreadable URL was accepted")
	}
}

func TestProvenMethods_FollowTheFlags(t *testing.T) {
	t.Parallel()
	for flags, want := range map[protocol.AuthenticatorFlags][]string{
		0:                           {identity.MethodHardwareKey},
		protocol.FlagUserPresent:    {identity.MethodHardwareKey},
		protocol.FlagBackupEligible: {identity.MethodSoftwareKey},
		protocol.FlagUserVerified:   {identity.MethodHardwareKey, identity.MethodUser},
		protocol.FlagBackupEligible | protocol.FlagUserVerified: {identity.MethodSoftwareKey, identity.MethodUser},
	} {
		if got := provenMethods(flags); !slices.Equal(got, want) {
			t.Errorf("%b: %v, want %v", flags, got, want)
		}
	}
}

// The response of a device is JSON of an anonymous caller: it is read or refused.
func FuzzParse_Passkey(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, `{"id":1}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA"}}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0","authenticatorData":` +
			`"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFAAAAAQ","signature":"AA","userHandle":"AA"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		credential := &structpb.Struct{}
		if !json.Valid(raw) || credential.UnmarshalJSON(raw) != nil {
			return
		}
		answer, refusal := parse(credential)
		if (answer == nil) == (refusal == nil) {
			t.Fatalf("parse returned %v, %v", answer, refusal)
		}
		if refusal != nil && !fault.Is(refusal, faultv1.Reason_REASON_FACTOR_INVALID) {
			t.Fatalf("the refusal is %v", refusal)
		}
		if answer != nil && (answer.ID == "" || answer.Type != "public-key") {
			t.Fatalf("parse returned %+v", answer)
		}
	})
}
