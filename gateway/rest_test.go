package gateway_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// refusal is a request and the problem that it must return.
type refusal struct {
	name, method, path, body string
	headers                  []string
	status                   int
	reason                   string
	fields                   []string // of the violations
	check                    func(*testing.T, reply)
}

func refusals() []refusal {
	deep := strings.Repeat(`{"a":`, 11000) + "1" + strings.Repeat("}", 11000)
	return []refusal{
		{name: "an unknown path", method: "GET", path: "/v1/nothing", status: 404, reason: "ROUTE_NOT_FOUND"},
		{name: "a trailing slash", method: "GET", path: "/v1/me/", status: 404, reason: "ROUTE_NOT_FOUND"},
		{name: "a method that the path does not have", method: "PUT", path: "/v1/assistants", body: "{}", status: 405, reason: "METHOD_NOT_ALLOWED",
			check: func(t *testing.T, a reply) {
				t.Helper()
				if got := a.Header.Get("Allow"); got != "GET, HEAD, POST" {
					t.Errorf("Allow %q", got)
				}
			}},
		{name: "an unknown verb", method: "POST", path: "/v1/runs/x:bogus", body: "{}", status: 404, reason: "ROUTE_NOT_FOUND"},
		{name: "another method on a verb", method: "GET", path: "/v1/knowledge:search", status: 405, reason: "METHOD_NOT_ALLOWED"},
		{name: "a method override", method: "POST", path: "/v1/assistants/x", body: "{}", headers: []string{"X-HTTP-Method-Override", "DELETE"}, status: 405, reason: "METHOD_NOT_ALLOWED"},
		{name: "S8 a form", method: "POST", path: "/v1/knowledge:search", body: "query=x", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, reason: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "another charset", method: "POST", path: "/v1/knowledge:search", body: "{}", headers: []string{"Content-Type", "application/json; charset=latin1"}, status: 415, reason: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "S52 a compressed body", method: "POST", path: "/v1/knowledge:search", body: "{}", headers: []string{"Content-Encoding", "gzip"}, status: 415, reason: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "no JSON", method: "POST", path: "/v1/knowledge:search", body: "{", status: 400, reason: "INVALID_ARGUMENT"},
		{name: "an array", method: "POST", path: "/v1/knowledge:search", body: "[]", status: 400, reason: "INVALID_ARGUMENT"},
		{name: "null", method: "POST", path: "/v1/assistants", body: "null", status: 400, reason: "INVALID_ARGUMENT"},
		{name: "a second value", method: "POST", path: "/v1/knowledge:search", body: `{"query":"a"} {"query":"b"}`, status: 400, reason: "INVALID_ARGUMENT"},
		{name: "a field given twice", method: "POST", path: "/v1/knowledge:search", body: `{"query":"a","query":"b"}`, status: 400, reason: "INVALID_ARGUMENT"},
		{name: "S60 a deep nest", method: "POST", path: "/v1/knowledge:search", body: deep, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"a"}},
		{name: "unknown fields", method: "POST", path: "/v1/knowledge:search", body: `{"query":"a","bogus":1,"collection_ids":[],"alsoBogus":2}`, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"alsoBogus", "bogus"}},
		{name: "an unknown field inside", method: "POST", path: "/v1/assistants", body: `{"displayName":"a","nope":{}}`, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"nope"}},
		{name: "values of other types", method: "POST", path: "/v1/assistants", body: `{"displayName":1,"tools":["a",2],"temperature":"warm","createTime":"noon"}`, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"createTime", "displayName", "temperature", "tools[1]"}},
		{name: "a number out of range", method: "POST", path: "/v1/knowledge:search", body: `{"limit":3000000000}`, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"limit"}},
		{name: "unknown query parameters", method: "GET", path: "/v1/assistants?pageSize=2&bogus=1&alsoBogus=2", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"alsoBogus", "bogus"}},
		{name: "a query on a route that has a whole body", method: "POST", path: "/v1/knowledge:search?limit=3", body: "{}", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"limit"}},
		{name: "a path parameter in the query", method: "GET", path: "/v1/assistants/x?id=y", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"id"}},
		{name: "query values of other types", method: "GET", path: "/v1/assistants?pageSize=many&showDeleted=perhaps", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"pageSize", "showDeleted"}},
		{name: "a query parameter twice", method: "GET", path: "/v1/assistants?pageSize=1&pageSize=2", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"pageSize"}},
		{name: "S63 a query that is not UTF-8", method: "GET", path: "/v1/assistants?filter=%ff", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"filter"}},
		{name: "a body where none belongs", method: "GET", path: "/v1/me", body: "{}", status: 400, reason: "INVALID_ARGUMENT"},
		{name: "the service's own violations", method: "POST", path: "/v1/assistants", body: "{}", status: 400, reason: "INVALID_ARGUMENT", fields: []string{"displayName"}},
		{name: "an absent resource", method: "GET", path: "/v1/assistants/x", status: 404, reason: "NOT_FOUND"},
		{name: "S8 two credentials", method: "GET", path: "/v1/me", headers: []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, status: 401, reason: "UNAUTHENTICATED",
			check: func(t *testing.T, a reply) {
				t.Helper()
				if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Error("a 401 without WWW-Authenticate")
				}
			}},
		{name: "S8 a credential in the query", method: "GET", path: "/v1/me?access_token=a", status: 401, reason: "UNAUTHENTICATED"},
		{name: "S6 an endless credential", method: "GET", path: "/v1/me", headers: []string{"Authorization", "Bearer " + strings.Repeat("a.", 5000)}, status: 401, reason: "UNAUTHENTICATED"},
		{name: "a deadline that is none", method: "GET", path: "/v1/me", headers: []string{"Grpc-Timeout", "soon"}, status: 400, reason: "INVALID_ARGUMENT", fields: []string{"Grpc-Timeout"}},
	}
}

func TestREST_InvalidRequests_AreRefused(t *testing.T) {
	t.Parallel()
	for kind, option := range map[string]func(*setting){"tcp": func(*setting) {}, "bufconn": inMemory} {
		h := start(t, &double{}, option)
		for _, c := range refusals() {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				a := h.call(c.method, c.path, c.body, c.headers...)
				p := a.problem(t)
				if a.StatusCode != c.status || p.Reason != c.reason {
					t.Fatalf("%d %s, want %d %s: %s", a.StatusCode, p.Reason, c.status, c.reason, a.body)
				}
				var fields []string
				for _, v := range p.Violations {
					fields = append(fields, v.Field)
				}
				if !reflect.DeepEqual(fields, c.fields) {
					t.Errorf("violations of %q, want %q", fields, c.fields)
				}
				if strings.Contains(p.Detail, "proto") || strings.Contains(p.Detail, "strconv") {
					t.Errorf("the detail reveals internals: %s", p.Detail)
				}
				if c.check != nil {
					c.check(t, a)
				}
			})
		}
	}
}

func TestREST_Responses(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)

	t.Run("zero values are present and the etag is a header", func(t *testing.T) {
		a := h.call("GET", "/v1/me", "")
		for _, want := range []string{`"locale":""`, `"createTime":null`, `"roles":[]`, `"disabled":false`} {
			if !strings.Contains(strings.ReplaceAll(a.body, `": `, `":`), want) {
				t.Errorf("%s is missing in %s", want, a.body)
			}
		}
		if a.StatusCode != 200 || a.Header.Get("ETag") != `"e1"` || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d, headers %v", a.StatusCode, a.Header)
		}
	})
	t.Run("HEAD is GET without its body", func(t *testing.T) {
		if a := h.call("HEAD", "/v1/me", ""); a.StatusCode != 200 || a.body != "" || a.ContentLength <= 0 {
			t.Errorf("%d, %d bytes announced", a.StatusCode, a.ContentLength)
		}
	})
	t.Run("64-bit numbers are strings and enums are short", func(t *testing.T) {
		body := strings.ReplaceAll(h.call("GET", "/v1/documents/doc", "").body, `": `, `":`)
		if !strings.Contains(body, `"sizeBytes":"1099511627776"`) || !strings.Contains(body, `"state":"READY"`) {
			t.Error(body)
		}
	})
	t.Run("an absent body counts as an empty object", func(t *testing.T) {
		r := h.request("POST", "/v1/knowledge:search", "")
		if a := h.do(r); a.StatusCode != 200 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("the text of a document is never a page", func(t *testing.T) {
		a := h.call("GET", "/v1/documents/doc/content", "")
		if a.Header.Get("Content-Type") != "text/plain; charset=utf-8" || a.Header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("headers %v", a.Header)
		}
		if a.body != "<script>alert(1)</script>" {
			t.Errorf("body %q", a.body)
		}
	})
	t.Run("OPTIONS returns the methods", func(t *testing.T) {
		if a := h.call("OPTIONS", "/v1/assistants/x", ""); a.StatusCode != 204 || a.Header.Get("Allow") != "GET, HEAD, PATCH, DELETE" {
			t.Errorf("%d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
		}
	})
}

func TestPatch_UpdateMask(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, c := range []struct {
		name, path, body string
		want             []string
	}{
		{"derived from the body", "/v1/assistants/a1", `{"displayName":"x","temperature":null,"collectionIds":[]}`, []string{"collection_ids", "display_name", "temperature"}},
		{"given in the query", "/v1/assistants/a1?updateMask=model,displayName", `{"displayName":"x","model":"a/b","tools":["t"]}`, []string{"display_name", "model"}},
		{"of an absent body", "/v1/assistants/a1", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := h.call("PATCH", c.path, c.body, "If-Match", `"e1"`); a.StatusCode != 200 {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			paths := slices.Sorted(slices.Values(h.update.GetUpdateMask().GetPaths()))
			if !slices.Equal(paths, c.want) || h.update.GetAssistant().GetId() != "a1" {
				t.Errorf("mask %q of %s, want %q", paths, h.update.GetAssistant().GetId(), c.want)
			}
			if got := h.saw().Get("if-match"); len(got) != 1 || !strings.Contains(got[0], "e1") {
				t.Errorf("if-match %q", got)
			}
		})
	}
}

func TestQuery_ReachesService(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	a := h.call("GET", "/v1/assistants?pageSize=7&order_by=displayName%20desc&showDeleted=true", "")
	if a.StatusCode != 200 || h.list.GetPageSize() != 7 || h.list.GetOrderBy() != "displayName desc" || !h.list.GetShowDeleted() {
		t.Errorf("%d, %v", a.StatusCode, h.list)
	}
}

func TestStatus_FollowsReason(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	for number := range faultv1.Reason_name {
		reason := faultv1.Reason(number)
		if reason == faultv1.Reason_REASON_UNSPECIFIED {
			continue
		}
		d.search = func(context.Context, *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
			return nil, fault.New(reason, "because").WithRetryAfter(1500 * time.Millisecond)
		}
		a := h.call("POST", "/v1/knowledge:search", "{}")
		if p := a.problem(t); a.StatusCode != fault.SpecOf(reason).HTTPStatus || p.Reason != fault.Name(reason) ||
			p.Type != "/docs/errors#"+fault.Name(reason) || p.Instance != "/v1/knowledge:search" || a.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d %+v", reason, a.StatusCode, p)
		}
	}
}

func TestS58TextsOfLibrariesAreNotReturned(t *testing.T) {
	t.Parallel()
	d := &double{}
	h := start(t, d, inMemory)
	d.search = func(context.Context, *knowledgev1.SearchRequest) (*knowledgev1.SearchResponse, error) {
		return nil, status.Error(codes.Internal, "pq: SELECT secret FROM t at 10.0.0.1")
	}
	if a := h.call("POST", "/v1/knowledge:search", "{}"); a.StatusCode != 500 || strings.Contains(a.body, "SELECT") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	h.services()
	a := h.call("POST", "/v1/knowledge:search", "{}")
	if p := a.problem(t); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || strings.Contains(p.Detail, "127.0.0.1") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestCreate_ReturnsResource(t *testing.T) {
	t.Parallel()
	d := &double{createAssistant: func(_ context.Context, a *managementv1.Assistant) (*managementv1.Assistant, error) {
		a.Etag = `W/"7"`
		return a, nil
	}}
	h := start(t, d, inMemory)
	a := h.call("POST", "/v1/assistants", `{"displayName":"Ada","temperature":0}`)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Ada") || !strings.Contains(a.body, "temperature") || a.Header.Get("ETag") != `W/"7"` {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// RFC 9110: the name of a charset is case-insensitive.
func TestCharset_IgnoresCase(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for charset, status := range map[string]int{"Utf-8": 200, `"UTF-8"`: 200, "latin1": 415} {
		if a := h.call("POST", "/v1/knowledge:search", `{"query":"a"}`, "Content-Type", "application/json; charset="+charset); a.StatusCode != status {
			t.Errorf("%s: %d %s", charset, a.StatusCode, a.body)
		}
	}
}
