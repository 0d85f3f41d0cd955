package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/config"
)

type inner struct {
	Key  config.Secret `env:"GATEHOUSE_TEST_KEY"`
	Idle time.Duration `env:"GATEHOUSE_TEST_IDLE" envDefault:"720h"`
}

type settings struct {
	Port  int `env:"GATEHOUSE_TEST_PORT" envDefault:"80"`
	Inner inner
}

func TestLoad_FillsDefaultsAndNestedStructs(t *testing.T) {
	t.Parallel()
	var s settings
	if err := config.Load(&s, map[string]string{"GATEHOUSE_TEST_KEY": "hunter2", "UNRELATED": "x"}); err != nil {
		t.Fatal(err)
	}
	if s.Port != 80 || s.Inner.Idle != 720*time.Hour || s.Inner.Key.Reveal() != "hunter2" {
		t.Errorf("loaded %d, %s and a key of %d bytes", s.Port, s.Inner.Idle, len(s.Inner.Key.Reveal()))
	}
}

func TestLoad_SeveralProblems_ReportsAll(t *testing.T) {
	t.Parallel()
	err := config.Load(&settings{}, map[string]string{
		"GATEHOUSE_TEST_PORT":     "eighty",
		"GATEHOUSE_TEST_IDLE":     "long",
		"GATEHOUSE_TEST_KEY":      "a",
		"GATEHOUSE_TEST_KEY_FILE": "/nowhere",
		"GATEHOUSE_TEST_TYPO":     "1",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Port", "Idle", "both set", "GATEHOUSE_TEST_TYPO is not a setting"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q:\n%v", want, err)
		}
	}
}

func TestLoad_SecretInAFile_IsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s settings
	if err := config.Load(&s, map[string]string{"GATEHOUSE_TEST_KEY_FILE": path}); err != nil {
		t.Fatal(err)
	}
	if s.Inner.Key.Reveal() != "hunter2" {
		t.Error("the file's content is not the secret")
	}
}

// A failed mount leaves an empty file. The setting was given, so it must not get its
// default without an error.
func TestLoad_SecretFileIsEmpty_IsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := config.Load(&settings{}, map[string]string{"GATEHOUSE_TEST_KEY_FILE": path})
	if err == nil || !strings.Contains(err.Error(), "GATEHOUSE_TEST_KEY_FILE") {
		t.Errorf("loaded with %v", err)
	}
}

func TestS74SecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := struct{ K config.Secret }{config.NewSecret("hunter2")}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), s.K.String(), string(encoded)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("printed as %s", shown)
		}
	}
}

func TestDescribe_ReturnsEverySetting(t *testing.T) {
	t.Parallel()
	got := config.Describe(&settings{})
	if len(got) != 3 || got[0].Name != "GATEHOUSE_TEST_PORT" || got[0].Default != "80" || !got[1].Secret || got[2].Struct != "inner" {
		t.Errorf("described as %+v", got)
	}
}
