package deps_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/deps"
)

type bundle struct {
	File   *os.File
	Reader io.Reader
	Do     func()
	Key    []byte
	Issuer string
	Limit  int
	Strict bool
	Extra  io.Writer `deps:"optional"`
}

func complete() bundle {
	return bundle{File: os.Stdin, Reader: strings.NewReader(""), Do: func() {}, Key: []byte{1}, Issuer: "https://example.com"}
}

func TestCheck_EachMissingFieldIsNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*bundle)
		want   string
	}{
		{"nothing is missing", func(*bundle) {}, ""},
		{"a nil pointer", func(b *bundle) { b.File = nil }, "room: bundle.File is required"},
		{"a nil interface", func(b *bundle) { b.Reader = nil }, "room: bundle.Reader is required"},
		{"a nil pointer in an interface", func(b *bundle) { b.Reader = (*os.File)(nil) }, "room: bundle.Reader is required"},
		{"a nil function", func(b *bundle) { b.Do = nil }, "room: bundle.Do is required"},
		{"an empty slice", func(b *bundle) { b.Key = []byte{} }, "room: bundle.Key is required"},
		{"an empty string", func(b *bundle) { b.Issuer = "" }, "room: bundle.Issuer is required"},
		{"two fields", func(b *bundle) { b.File, b.Issuer = nil, "" }, "room: bundle.File is required\nroom: bundle.Issuer is required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := complete()
			tc.change(&b)
			got := ""
			if err := deps.Check("room", b); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("Check returned %q, want %q", got, tc.want)
			}
		})
	}
}
