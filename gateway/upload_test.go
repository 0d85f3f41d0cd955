package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
)

const uploadPath = "/v1/collections/col/documents:upload"

// part is one field of a form; a file when it has a file name.
type part struct{ name, fileName, contentType, body string }

func form(t *testing.T, parts ...part) (body, contentType string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		disposition := fmt.Sprintf("form-data; name=%q", p.name)
		if p.fileName != "" {
			disposition += fmt.Sprintf("; filename=%q", p.fileName)
		}
		h.Set("Content-Disposition", disposition)
		if p.contentType != "" {
			h.Set("Content-Type", p.contentType)
		}
		field, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(field, p.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), w.FormDataContentType()
}

// S61: only the last part of a file's path is kept.
func TestUpload(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	big := strings.Repeat("0123456789abcdef", 20<<16) // 20 MiB
	body, contentType := form(t, part{name: "title", body: "Handbook"}, part{"file", "../../book.md", "text/markdown; charset=utf-8", big})
	a := h.call("POST", uploadPath, body, "Content-Type", contentType, "Authorization", "Bearer u")
	if a.StatusCode != 200 || !strings.Contains(a.body, fmt.Sprint(len(big))) || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if got := h.header; got.GetCollectionId() != "col" || got.GetTitle() != "Handbook" || got.GetFileName() != "book.md" || got.GetContentType() != "text/markdown" {
		t.Errorf("header %v", got)
	}
	if string(h.uploaded) != big {
		t.Error("the file arrived changed")
	}
	if got := h.saw().Get("x-gatehouse-service-token"); len(got) != 1 || got[0] != "svc-chat" {
		t.Errorf("service token %q", got)
	}
}

// S52: endless files.
func TestUpload_InvalidForms_AreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	file := part{name: "file", fileName: "a.txt", body: "text"}
	huge := part{name: "file", fileName: "a.txt", body: strings.Repeat("x", 32<<20+1)}
	for _, c := range []struct {
		name   string
		parts  []part
		cut    int
		header string
		status int
		want   string
	}{
		{name: "no file", parts: []part{{name: "title", body: "t"}}, status: 400, want: `"field":"file"`},
		{name: "an unknown field", parts: []part{{name: "bogus", body: "t"}, file}, status: 400, want: `"field":"bogus"`},
		{name: "a field behind the file", parts: []part{file, {name: "title", body: "t"}}, status: 400, want: `"field":"title"`},
		{name: "two files", parts: []part{file, file}, status: 400, want: `"field":"file"`},
		{name: "a title without end", parts: []part{{name: "title", body: strings.Repeat("t", 5000)}, file}, status: 400, want: `"field":"title"`},
		{name: "an incomplete form", parts: []part{file}, cut: 20, status: 400, want: `"field":"file"`},
		{name: "no boundary", parts: []part{file}, header: "multipart/form-data", status: 400, want: `"field":"file"`},
		{name: "a title that is not UTF-8", parts: []part{{name: "title", body: "caf\xe9"}, file}, status: 400, want: `"field":"title"`},
		{name: "a content type that is not UTF-8", parts: []part{{name: "contentType", body: "\xff"}, file}, status: 400, want: `"field":"contentType"`},
		{name: "JSON", parts: []part{file}, header: "application/json", status: 415, want: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "the service refuses", parts: []part{{name: "title", body: "refuse"}, file}, status: 415, want: "DOCUMENT_UNSUPPORTED_TYPE"},
		{name: "over 32 MiB", parts: []part{huge}, status: 413, want: "PAYLOAD_TOO_LARGE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, contentType := form(t, c.parts...)
			if c.header != "" {
				contentType = c.header
			}
			a := h.call("POST", uploadPath, body[:len(body)-c.cut], "Content-Type", contentType)
			a.problem(t)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	t.Run("over 32 MiB, chunked", func(t *testing.T) {
		head := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
		r := h.request(http.MethodPost, uploadPath, "x", "Content-Type", "multipart/form-data; boundary=b")
		r.Body, r.ContentLength, r.GetBody = io.NopCloser(io.MultiReader(strings.NewReader(head), &zeros{left: 64 << 20})), -1, nil
		if a := h.do(r); a.StatusCode != 413 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("a file name that is not UTF-8", func(t *testing.T) {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"caf\xe9.txt\"\r\n\r\ntext\r\n--b--\r\n"
		a := h.call("POST", uploadPath, body, "Content-Type", "multipart/form-data; boundary=b")
		if a.StatusCode != 400 || !strings.Contains(a.body, `"field":"file"`) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("another method", func(t *testing.T) {
		if a := h.call("GET", uploadPath, ""); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("%d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
		}
	})
	t.Run("a query", func(t *testing.T) {
		body, contentType := form(t, file)
		if a := h.call("POST", uploadPath+"?x=1", body, "Content-Type", contentType); a.StatusCode != 400 {
			t.Errorf("%d", a.StatusCode)
		}
	})
}
