package rules_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/sources"

	"github.com/gatehouse/gatehouse/platform/apikey"
)

// leak is the form of a secret that somebody would use who found it.
type leak struct {
	what string
	// part is in each of them, which is quicker to look for.
	part    string
	pattern *regexp.Regexp
}

// leaks are written so that they do not find themselves.
func leaks() []leak {
	return []leak{
		{"private key", "-----BEGIN ", regexp.MustCompile(`-{5}BEGIN [A-Z ]*PRIVATE KEY-{5}`)},
		{"Gatehouse API key", "gh_", regexp.MustCompile(`\bgh_[0-9A-Za-z]{49}\b`)},
		{"OpenAI key", "sk-", regexp.MustCompile(`\bsk-[0-9A-Za-z_-]{20,}`)},
		{"AWS key", "AKIA", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`)},
		{"GitHub token", "ghp_", regexp.MustCompile(`\bghp_[0-9A-Za-z]{36}`)},
		{"Google key", "AIza", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
		{"Slack token", "xox", regexp.MustCompile(`\bxox[abprs]-[0-9A-Za-z-]{20,}`)},
	}
}

// leaksIn names the secrets that a text holds. A key of ours is one only when its
// checksum says so.
func leaksIn(text []byte) []string {
	var out []string
	for _, l := range leaks() {
		if !bytes.Contains(text, []byte(l.part)) {
			continue
		}
		for _, found := range l.pattern.FindAllString(string(text), -1) {
			if !strings.HasPrefix(found, apikey.Prefix) || apikey.WellFormed(found) {
				out = append(out, l.what)
			}
		}
	}
	return out
}

// S81: no file of the repository holds a secret.
func TestS81NoFileHoldsASecret(t *testing.T) {
	t.Parallel()
	sources.Depend()
	list, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) || bytes.IndexByte(text, 0) >= 0 {
			continue // about to be removed, or no text
		}
		if err != nil {
			t.Fatal(err)
		}
		seen++
		for _, what := range leaksIn(text) {
			t.Errorf("%s holds a %s", name, what)
		}
	}
	if seen < 300 {
		t.Errorf("only %d files were read", seen)
	}
}

func TestSecretsAreRecognized(t *testing.T) {
	t.Parallel()
	key := apikey.New()
	for text, found := range map[string]bool{
		"key: " + key:                        true,
		"key: " + key[:len(key)-1]:           false,
		"gh_" + strings.Repeat("0", 49):      false,
		"-----BEGIN " + "PRIVATE KEY-----":   true,
		"-----BEGIN " + "PUBLIC KEY-----":    false,
		"sk-" + strings.Repeat("a1", 20):     true,
		"a task-" + strings.Repeat("a1", 20): false,
		"AKIA" + strings.Repeat("A", 16):     true,
	} {
		if got := leaksIn([]byte(text)); (len(got) > 0) != found {
			t.Errorf("%q: found %q", text, got)
		}
	}
}
