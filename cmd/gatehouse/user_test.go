package main

import (
	"io"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/services/auth"
)

func TestNewUser_Arguments_AreParsedOrRefused(t *testing.T) {
	t.Parallel()
	const ada = "ada@example.com"
	for _, tc := range []struct {
		args, stdin string
		want        auth.NewUser
		wrong       string
	}{
		{args: "create --email " + ada, want: auth.NewUser{Email: ada}},
		{args: "create --email " + ada + " --operator --name Ada", want: auth.NewUser{Email: ada, DisplayName: "Ada", Operator: true}},
		{args: "create --email " + ada, stdin: "ignored\n", want: auth.NewUser{Email: ada}},
		{args: "create --email " + ada + " --password-stdin", stdin: " a pass phrase \r\nrest", want: auth.NewUser{Email: ada, Password: " a pass phrase "}},
		{args: "create --email " + ada + " --password-stdin", stdin: "no line end", want: auth.NewUser{Email: ada, Password: "no line end"}},
		{args: "create --email " + ada + " --password-stdin", wrong: "no password"},
		{args: "create", wrong: "usage"},
		{args: "create --email " + ada + " surplus", wrong: "usage"},
		{args: "create --password hunter2", wrong: "not defined"},
		{args: "remove", wrong: "usage"},
		{args: "", wrong: "usage"},
	} {
		got, err := newUser(strings.Fields(tc.args), strings.NewReader(tc.stdin), io.Discard)
		switch {
		case tc.wrong == "" && (err != nil || got != tc.want):
			t.Errorf("%q: %+v, %v; want %+v", tc.args, got, err, tc.want)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%q: %v, want an error about %q", tc.args, err, tc.wrong)
		}
	}
}
