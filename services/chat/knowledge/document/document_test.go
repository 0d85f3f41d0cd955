package document_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/document"
)

// S61: the type that a client states is checked.
func TestContentType_FollowsTheFileName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"README":          "text/plain",
		"notes.txt":       "text/plain",
		"a.b/Guide.MD":    "text/markdown",
		"page.htm":        "text/html",
		"photo.png":       "image/png",
		"archive.unheard": "application/octet-stream",
	} {
		if got := document.ContentType(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestTitleOf_NoTitle_IsTheFileName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ title, file, want string }{
		{"Guide", "g.md", "Guide"},
		{" ", "docs/g.md", "g.md"},
		{"", `C:\docs\g.md`, "g.md"},
		{"", "", ""},
	} {
		if got := document.TitleOf(tc.title, tc.file); got != tc.want {
			t.Errorf("%q of %q is %q, want %q", tc.title, tc.file, got, tc.want)
		}
	}
}

func TestDocument_Validate_NamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		document document.Document
		field    string
	}{
		{document.Document{Title: " "}, "title"},
		{document.Document{Title: "a\x00"}, "title"},
		{document.Document{Title: "a", ContentType: "text/\x00"}, "contentType"},
	} {
		if v := fault.From(tc.document.Validate("title")).Violations(); len(v) != 1 || v[0].Field != tc.field {
			t.Errorf("%+v: violations %v, want one on %s", tc.document, v, tc.field)
		}
	}
}

func TestCheckSize_OneByteTooMany_IsRefused(t *testing.T) {
	t.Parallel()
	if err := document.CheckSize(32 << 20); err != nil {
		t.Error(err)
	}
	if err := document.CheckSize(32<<20 + 1); !fault.Is(err, faultv1.Reason_REASON_DOCUMENT_TOO_LARGE) {
		t.Errorf("one byte more: %v", err)
	}
}
