package gateway_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/gatehouse/gatehouse/proto/catalog"
	"github.com/gatehouse/gatehouse/proto/openapi"
)

// document is the part of the OpenAPI description that the tests read.
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

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	loaded, err := openapi3.NewLoader().LoadFromData(openapi.JSON())
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestOpenAPI_IsValid(t *testing.T) {
	t.Parallel()
	if err := loadDocument(t).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// The description contains every public route, and no other.
func TestOpenAPI_DescribesEveryPublicRoute(t *testing.T) {
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

// Every described route is served, by its own handler.
func TestOpenAPI_EveryRouteIsServed(t *testing.T) {
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

// The responses of the gateway match their description.
func TestOpenAPI_ResponsesMatchDescription(t *testing.T) {
	t.Parallel()
	router, err := gorillamux.NewRouter(loadDocument(t))
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, IncludeResponseStatus: true,
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
			route, params, err := router.FindRoute(r)
			if err != nil {
				t.Fatal(err)
			}
			request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
			if err := openapi3filter.ValidateRequest(t.Context(), request); err != nil {
				t.Error(err)
			}
			response, err := h.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: request, Status: response.StatusCode, Header: response.Header, Body: response.Body, Options: options,
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
