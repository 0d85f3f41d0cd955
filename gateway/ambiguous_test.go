package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// S91: the gateway closes the connection after a request that states its length twice, so
// that no other request can be smuggled in after it. Requests with one length keep it
// open.
func TestS91TwoLengthsCloseTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	const chunked = "2\r\n{}\r\n0\r\n\r\n"
	for name, c := range map[string]struct {
		headers, body string
		closes        bool
	}{
		"both":                       {"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", chunked, true},
		"both, the other way round":  {"Transfer-Encoding: chunked\r\nX-Other: 1\r\ncontent-LENGTH: 13\r\n", chunked, true},
		"both, with bare line feeds": {"Content-Length: 13\nTransfer-Encoding: chunked\n", chunked, true},
		"one length":                 {"Content-Length: 2\r\n", "{}", false},
		"chunks":                     {"Transfer-Encoding: chunked\r\n", chunked, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			answers := bufio.NewReader(conn)
			const plain = "GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n"
			request := "POST /v1/knowledge:search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n" + c.headers + "\r\n" + c.body
			// First an ordinary request, so that the connection is not new.
			if err := exchangeRaw(conn, answers, plain); err != nil {
				t.Fatal(err)
			}
			if err := exchangeRaw(conn, answers, request); err != nil {
				t.Fatal(err)
			}
			err = exchangeRaw(conn, answers, plain)
			if closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*net.OpError)); closed != c.closes || err != nil && !closed {
				t.Errorf("the connection was closed: %v (%v)", closed, err)
			}
		})
	}
}

// exchangeRaw sends the bytes of a request and reads the response, which must not be an
// error.
func exchangeRaw(conn net.Conn, answers *bufio.Reader, request string) error {
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// S91: a form that two programs may read differently is refused.
func TestS91RepeatedPartsOfAFormAreRefused(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	const file, title = `form-data; name="file"; filename="a.txt"`, `form-data; name="title"`
	section := func(headers, body string) string { return "--b\r\n" + headers + "\r\n\r\n" + body + "\r\n" }
	disposition := func(value string) string { return "Content-Disposition: " + value }
	for name, c := range map[string]struct{ form, field string }{
		"a field twice":               {section(disposition(title), "a") + section(disposition(title), "b") + section(disposition(file), "x"), "title"},
		"two dispositions":            {section(disposition(title)+"\r\n"+disposition(file), "x"), "title"},
		"a parameter twice":           {section(disposition(title+`; name="file"`), "x") + section(disposition(file), "x"), "file"},
		"a file name twice":           {section(disposition(file+`; filename="b.txt"`), "x"), "file"},
		"a file name in two encoding": {section(disposition(file+`; filename*=UTF-8''b.txt`), "x"), "file"},
		"two content types":           {section(disposition(file)+"\r\nContent-Type: text/plain\r\nContent-Type: text/html", "x"), "file"},
		"no name":                     {section(disposition("form-data"), "x"), "file"},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.call("POST", uploadPath, c.form+"--b--\r\n", "Content-Type", "multipart/form-data; boundary=b")
			if p := a.problem(t); a.StatusCode != http.StatusBadRequest || len(p.Violations) != 1 || p.Violations[0].Field != c.field {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	other := section(disposition(`form-data; name="file"; filename*=UTF-8''%C3%BC.txt`), "x") + "--b--\r\n"
	if a := h.call("POST", uploadPath, other, "Content-Type", "multipart/form-data; boundary=b"); a.StatusCode != http.StatusOK || d.header.GetFileName() != "ü.txt" {
		t.Errorf("a file name in one encoding: %d %s, %q", a.StatusCode, a.body, d.header.GetFileName())
	}
}

// S91: a body must not name another resource than the path.
func TestS91ABodyThatNamesAnotherResourceIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, &double{send: func(*chatv1.SendMessageRequest, watchStream) error { return nil }}, inMemory)
	const patch, message = "/v1/assistants/Ab-1", "/v1/conversations/Ab-1/messages:stream"
	for _, c := range []struct {
		method, path, body string
		field              string // the field that is refused, or empty
	}{
		{"PATCH", patch, `{"id":"cd-2","displayName":"x"}`, "id"},
		{"PATCH", patch, `{"displayName":"x","id":"cd-2"}`, "id"},
		{"PATCH", patch, `{"id":"Ab-1","displayName":"x"}`, ""},
		{"PATCH", patch, `{"id":"aB-1","displayName":"x"}`, ""},
		{"PATCH", patch, `{"id":"","displayName":"x"}`, ""},
		{"PATCH", patch, `{"id":null,"displayName":"x"}`, ""},
		{"PATCH", patch, `{"displayName":"x"}`, ""},
		{"POST", message, `{"content":"x","conversationId":"cd-2"}`, "conversationId"},
		{"POST", message, `{"content":"x","conversation_id":"cd-2"}`, "conversationId"},
		{"POST", "/v1/collections/Ab-1/documents", `{"title":"x","content":"x","collectionId":"cd-2"}`, "collectionId"},
	} {
		a := h.call(c.method, c.path, c.body)
		refused := strings.Contains(a.body, "must equal the value in the path")
		if refused != (c.field != "") || refused && (a.StatusCode != http.StatusBadRequest || a.problem(t).Violations[0].Field != c.field) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.StatusCode, a.body)
		}
	}
}
