package email

import (
	"bytes"
	"net/url"
	"regexp"
	"testing"
)

func TestLink_LeadsToThePageOfThePublicURL(t *testing.T) {
	t.Parallel()
	for publicURL, want := range map[string]string{
		"https://auth.example":       "https://auth.example/account/verify?code=a%26b%23c",
		"https://auth.example/":      "https://auth.example/account/verify?code=a%26b%23c",
		"https://auth.example/base/": "https://auth.example/base/account/verify?code=a%26b%23c",
	} {
		s := Service{deps: Deps{PublicURL: publicURL}}
		got := s.link(verifyPage, "a&b#c")
		if got != want {
			t.Errorf("%s: %s, want %s", publicURL, got, want)
		}
		if u, err := url.Parse(got); err != nil || u.Query().Get("code") != "a&b#c" {
			t.Errorf("%s: the token is lost, %v", got, err)
		}
	}
}

func TestNewCode_HasSixDigits(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^[0-9]{6}$`)
	seen := map[string]bool{}
	for range 200 {
		code, err := newCode()
		if err != nil || !format.MatchString(code) {
			t.Errorf("the code is %q, %v", code, err)
		}
		seen[code] = true
	}
	if len(seen) < 150 {
		t.Errorf("only %d of 200 codes differ", len(seen))
	}
}

// S73: a copy of the database does not reveal a code, because its hash needs the
// installation's key, and each challenge has its own.
func TestCodeHash_DependsOnKeyChallengeAndCode(t *testing.T) {
	t.Parallel()
	s, other := Service{codeKey: []byte("one")}, Service{codeKey: []byte("two")}
	challenge, another := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	hash := s.codeHash(challenge, "123456")
	if !bytes.Equal(hash, s.codeHash(challenge, "123456")) {
		t.Error("the hash of one code differs")
	}
	for name, got := range map[string][]byte{
		"another key": other.codeHash(challenge, "123456"), "another challenge": s.codeHash(another, "123456"), "another code": s.codeHash(challenge, "123457"),
	} {
		if bytes.Equal(got, hash) {
			t.Errorf("%s has the same hash", name)
		}
	}
}
