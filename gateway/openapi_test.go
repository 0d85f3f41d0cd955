package gateway_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/gatehouse/gatehouse/proto/catalog"
	"github.com/gatehouse/gatehouse/proto/openapi"
)

// document is what the tests read of the OpenAPI description.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		Access      string                     `json:"x-gatehouse-access"`
		RPC         string                     `json:"x-gatehouse-rpc"`
		Description string                     `json:"description"`
		Responses   map[string]json.RawMessage `json:"responses"`
	} `json:"paths"`
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openapi.JSON(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	parsed, err := libopenapi.NewDocument(openapi.JSON())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.BuildV3Model(); err != nil {
		t.Fatal(err)
	}
	v, problems := validator.NewValidator(parsed)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s", p.Message, p.Reason)
			for _, cause := range p.SchemaValidationErrors {
				t.Errorf("  %s: %s", cause.FieldPath, cause.Reason)
			}
		}
	}
}

// The description is of every public route, and of nothing else.
func TestOpenAPIMatchesTheContracts(t *testing.T) {
	t.Parallel()
	described := map[string]int{}
	for path, operations := range readDocument(t).Paths {
		for verb, operation := range operations {
			described[operation.RPC]++
			if operation.Access == "" || operation.Access == "nobody" || operation.Description == "" {
				t.Errorf("%s %s states no rule or no purpose", verb, path)
			}
		}
	}
	for _, m := range catalog.Methods() {
		want := 0
		if m.Public {
			want = max(len(m.Routes), 1) // the upload has a form instead of an annotation
		}
		if got := described[strings.TrimPrefix(m.FullMethod, "/")]; got != want {
			t.Errorf("%s is described %d times, want %d", m.FullMethod, got, want)
		}
	}
}

// Every route that is described is served, and by no other path's handler.
func TestOpenAPIRoutesAreServed(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	param := regexp.MustCompile(`\{\w+\}`)
	for path, operations := range readDocument(t).Paths {
		for verb := range operations {
			a := h.call(strings.ToUpper(verb), param.ReplaceAllString(path, "x"), "")
			if strings.Contains(a.body, "METHOD_NOT_ALLOWED") || strings.Contains(a.body, "no route has this path") {
				t.Errorf("%s %s: %d %s", verb, path, a.StatusCode, a.body)
			}
		}
	}
}

// An answer of the gateway fits its own description.
func TestAnswersFitTheDescription(t *testing.T) {
	t.Parallel()
	parsed, err := libopenapi.NewDocument(openapi.JSON())
	if err != nil {
		t.Fatal(err)
	}
	v, problems := validator.NewValidator(parsed)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	h := start(t, &double{}, inMemory)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/me", ""},
		{"GET", "/v1/documents/0199b6c1-0000-7000-8000-000000000000", ""},
		{"POST", "/v1/assistants", `{"displayName":"Ada","model":"","tools":["calculator"]}`},
		{"POST", "/v1/knowledge:search", `{"query":"x"}`},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			r := h.request(c.method, c.path, c.body, "Authorization", "Bearer x")
			response, err := h.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			r = h.request(c.method, c.path, c.body, "Authorization", "Bearer x")
			if ok, problems := v.ValidateHttpRequestResponse(r, response); !ok {
				for _, p := range problems {
					t.Errorf("%s: %s", p.Message, p.Reason)
					for _, cause := range p.SchemaValidationErrors {
						t.Errorf("  %s: %s", cause.FieldPath, cause.Reason)
					}
				}
			}
		})
	}
}
