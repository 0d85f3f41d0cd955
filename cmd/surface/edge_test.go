package surface_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// S53, S54: the audit trail stores the address of the connection to the gateway, whatever address
// the client claims. Behind a trusted proxy it stores the address that the proxy reports.
func TestS54AuditTrailStoresTheRealAddress(t *testing.T) {
	t.Parallel()
	for hops, want := range map[string]string{"0": "127.0.0.1", "1": "192.0.2.8"} {
		i := inprocess.Start(t, map[string]string{"GATEHOUSE_TRUSTED_PROXY_HOPS": hops})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+"/v1/auth/sign-up",
			strings.NewReader(`{"email":"ada@example.com","password":"a very long secret"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{
			"Content-Type": {"application/json"}, "X-Forwarded-For": {"6.6.6.6", "192.0.2.8"},
			"X-Real-Ip": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"}, "X-Gatehouse-Client-Ip": {"6.6.6.6"},
			"Grpc-Metadata-X-Gatehouse-Client-Ip": {"6.6.6.6"}, "X-Gatehouse-Service-Token": {"forged"},
		}
		if status, body, _ := doRequest(t, req); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		for _, address := range query(t, i.Database, pgx.RowTo[string],
			"SELECT host(ip_address) FROM audit.events WHERE ip_address IS NOT NULL") {
			if address != want {
				t.Errorf("with %s proxies the trail has %s, want %s", hops, address, want)
			}
		}
	}
}

// S61: an uploaded file with a false type or name is stored under its id, and its text is served
// as an attachment, never as a web page.
func TestS61FilesAreServedAsAttachments(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	collection := i.Create(t, s, "/v1/collections", map[string]string{"displayName": "One"})
	const page = "<html><script>alert(1)</script><p>Some text.</p></html>"
	for name, tc := range map[string]struct{ fileName, contentType string }{
		"a path":            {"../../../etc/passwd.html", "text/html"},
		"a Windows path":    {`..\..\boot.html`, "text/html"},
		"a page as text":    {"page.txt", "text/plain"},
		"a page as picture": {"page.png", "image/png"},
		"NUL":               {"page\x00.html", "text/html"},
		"a header":          {"a.html\"; x=\"y", "text/html"},
	} {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="file"; filename="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(tc.fileName) + `"`},
			"Content-Type":        {tc.contentType},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(page)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+"/v1/collections/"+collection+"/documents:upload", &form)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.AccessToken)
		req.Header.Set("Content-Type", w.FormDataContentType())
		resp, err := inprocess.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= 400 && resp.StatusCode < 500 {
			_ = resp.Body.Close()
			continue // a refusal is also safe
		}
		var document struct{ ID, Title string }
		inprocess.Decode(t, resp, &document)
		if strings.ContainsAny(document.Title, "/\\\x00") {
			t.Errorf("%s: the title is %q", name, document.Title)
		}
		var state struct{ State string }
		eventually(t, "the document to be read", func() bool {
			i.Get(t, s, "/v1/documents/"+document.ID, &state)
			return state.State == "READY" || state.State == "FAILED"
		})
		if state.State == "FAILED" {
			continue // a failed document is also safe
		}
		status, body, header := readResponse(t, i.Request(t, s, http.MethodGet, "/v1/documents/"+document.ID+"/content", nil))
		kind := header.Get("Content-Type")
		if status != http.StatusOK || header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(header.Get("Content-Disposition"), "attachment") || strings.Contains(header.Get("Content-Disposition"), "..") ||
			kind != "text/plain; charset=utf-8" && kind != "application/octet-stream" {
			t.Errorf("%s: %d %s %v", name, status, body, header)
		}
	}
}

// S80: the public port serves no path that is for operators alone.
func TestS80OperatorPathsAreNotPublic(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	operator := i.SignIn(t)
	for _, path := range []string{
		"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/livez", "/readyz", "/v1/metrics", "/.env", "/.git/config",
	} {
		status, body, _ := readResponse(t, i.Request(t, operator, http.MethodGet, path, nil))
		if status != http.StatusNotFound {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
	}
}
