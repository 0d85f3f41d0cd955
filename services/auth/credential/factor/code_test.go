package factor

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/gatehouse/gatehouse/platform/identity"
)

// rfcSecret is the secret of the test vectors of RFC 6238.
const rfcSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// RFC 6238 appendix B, with six of the eight digits.
func TestStepOf_TestVectorsOfTheRFC_AreAccepted(t *testing.T) {
	t.Parallel()
	for seconds, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := stepOf(rfcSecret, code, time.Unix(seconds, 0))
		if !ok || step != seconds/stepSeconds {
			t.Errorf("at %d, %s is of step %d, %t", seconds, code, step, ok)
		}
	}
}

func TestStepOf_Code_IsAcceptedOneStepEarlyOrLate(t *testing.T) {
	t.Parallel()
	const step = 40_000_000
	code, err := hotp.GenerateCodeCustom(rfcSecret, step, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		at   int64
		want bool
	}{
		{"the last second before the window", (step-1)*stepSeconds - 1, false},
		{"the first second of the window", (step - 1) * stepSeconds, true},
		{"the first second of the step", step * stepSeconds, true},
		{"the last second of the step", (step+1)*stepSeconds - 1, true},
		{"the last second of the window", (step+2)*stepSeconds - 1, true},
		{"the first second after the window", (step + 2) * stepSeconds, false},
	} {
		got, ok := stepOf(rfcSecret, code, time.Unix(tc.at, 0))
		if ok != tc.want || ok && got != step {
			t.Errorf("%s: step %d, %t, want %t", tc.name, got, ok, tc.want)
		}
	}
}

func TestStepOf_TextThatIsNoCode_IsRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "28708", "2870820", "28708a", "２８７０８２", " 87082"} {
		if step, ok := stepOf(rfcSecret, code, time.Unix(59, 0)); ok {
			t.Errorf("%q is of step %d", code, step)
		}
	}
	if _, ok := stepOf("not base32!", "287082", time.Unix(59, 0)); ok {
		t.Error("a code is accepted without a readable secret")
	}
}

func TestNormalize_RemovesOnlySpacesAndHyphens(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"123 456": "123456", "123-456": "123456", "ABCD-efgh": "abcdefgh", "  1  ": "1", "12_34": "12_34", "12\t34": "12\t34", "": "",
	} {
		if got := normalize(given); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func TestNewRecoveryCodes_AreDistinctAndMatchTheirHashes(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}$`)
	codes, hashes := newRecoveryCodes()
	if len(codes) != recoveryCodes || len(hashes) != recoveryCodes {
		t.Fatalf("%d codes, %d hashes", len(codes), len(hashes))
	}
	for i, code := range codes {
		if !format.MatchString(code) || slices.Contains(codes[:i], code) {
			t.Errorf("the codes are %v", codes)
		}
		for _, typed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", " ")} {
			if !bytes.Equal(digest(normalize(typed)), hashes[i]) || isTOTP(normalize(typed)) {
				t.Errorf("%q is not the code %q", typed, code)
			}
		}
	}
}

// A code is typed by an anonymous caller.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"123 456", "abcd-efgh-ijkl-mnop", "ABCD", "", "\xff", "İ", "１２３４５６", "--- ---"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		once := normalize(code)
		if strings.ContainsAny(once, " -") || normalize(once) != once {
			t.Fatalf("%q became %q", code, once)
		}
		if _, ok := stepOf(rfcSecret, once, time.Unix(59, 0)); ok && !isTOTP(once) {
			t.Fatalf("%q is accepted and is no code of an authenticator", code)
		}
	})
}

func TestEnrolled_Methods_NeedAFactorForRecoveryCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		has  enrolled
		want []string
	}{
		{"nothing", enrolled{}, nil},
		{"recovery codes alone", enrolled{recoveryCodes: 10}, nil},
		{"an authenticator", enrolled{totp: true}, []string{MethodTOTP}},
		{"a passkey", enrolled{passkeys: 1}, []string{MethodPasskey}},
		{"a passkey and the last recovery code", enrolled{passkeys: 1, recoveryCodes: 1}, []string{MethodPasskey, MethodRecoveryCode}},
		{"all", enrolled{totp: true, passkeys: 2, recoveryCodes: 3}, []string{MethodTOTP, MethodPasskey, MethodRecoveryCode}},
	} {
		if got := tc.has.methods(); !slices.Equal(got, tc.want) || tc.has.any() != (len(tc.want) > 0) {
			t.Errorf("%s: %v, %t, want %v", tc.name, got, tc.has.any(), tc.want)
		}
	}
}

func TestCombine_AddsMultipleOnlyForTwoMethodsWithAFactor(t *testing.T) {
	t.Parallel()
	password, otpMethod, multiple := identity.MethodPassword, identity.MethodOTP, identity.MethodMultiple
	for _, tc := range []struct {
		name      string
		used, now []string
		want      []string
	}{
		{"a password", nil, []string{password}, []string{password}},
		{"a password again", []string{password}, []string{password}, []string{password}},
		{"a password and a code", []string{password}, []string{otpMethod}, []string{password, otpMethod, multiple}},
		{"the same again", []string{password, otpMethod, multiple}, []string{otpMethod}, []string{password, otpMethod, multiple}},
		{"a code alone", nil, []string{otpMethod}, []string{otpMethod}},
		{"two methods without a factor", []string{password}, []string{identity.MethodFederated}, []string{password, identity.MethodFederated}},
	} {
		if got := Combine(tc.used, tc.now...); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	used := make([]string, 1, 4)
	used[0] = password
	Combine(used, otpMethod)
	if used[:2][1] != "" {
		t.Error("Combine wrote into the methods of its caller")
	}
}
