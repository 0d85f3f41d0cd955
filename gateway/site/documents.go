package site

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"runtime"
	"slices"
	"sort"

	"github.com/a-h/templ"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/proto/openapi"
)

// document is a response that is built once and never changes.
type document struct {
	contentType string
	body        []byte
}

const (
	htmlType = "text/html; charset=utf-8"
	jsonType = "application/json"
)

// serve responds with the document.
func (d document) serve(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", d.contentType)
	h.Set("Cache-Control", "no-cache")
	if d.contentType == htmlType {
		h.Set("Content-Security-Policy", documentPolicy)
	}
	defer httpio.WriteDeadline(w)()
	_, _ = w.Write(d.body) // the client may have closed the connection
}

// documents are the responses that never change.
type documents struct {
	start, docs, errors, openapi, version, metadata document
	// assets are the endpoints of the styles, the scripts and the icon.
	assets []endpoint
}

// newDocuments renders the documents. read are the methods of the assets.
func newDocuments(ctx context.Context, site pages.Site, read []string) (*documents, error) {
	d := &documents{openapi: document{contentType: jsonType, body: openapi.JSON()}}
	var err error
	if d.version, err = jsonDocument(map[string]string{"version": site.Version, "go": runtime.Version()}); err != nil {
		return nil, err
	}
	if d.metadata, err = jsonDocument(providerMetadata(site.PublicURL)); err != nil {
		return nil, err
	}
	if d.start, err = htmlDocument(ctx, site.Start()); err != nil {
		return nil, err
	}
	if d.docs, err = htmlDocument(ctx, site.Docs()); err != nil {
		return nil, err
	}
	if d.errors, err = htmlDocument(ctx, site.Errors(reasons())); err != nil {
		return nil, err
	}
	d.assets, err = assets(read)
	return d, err
}

func htmlDocument(ctx context.Context, page templ.Component) (document, error) {
	var body bytes.Buffer
	if err := page.Render(ctx, &body); err != nil {
		return document{}, fmt.Errorf("render: %w", err)
	}
	return document{contentType: htmlType, body: body.Bytes()}, nil
}

func jsonDocument(content any) (document, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return document{}, fmt.Errorf("encode: %w", err)
	}
	return document{contentType: jsonType, body: body}, nil
}

// assets returns the endpoints of what pages load.
func assets(read []string) ([]endpoint, error) {
	var endpoints []endpoint
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := pages.Assets.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	for _, entry := range entries {
		contentType, ok := types[path.Ext(entry.Name())]
		if !ok {
			continue
		}
		body, err := pages.Assets.ReadFile(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		paths := []string{"/pages/" + entry.Name()}
		if entry.Name() == "favicon.svg" {
			paths = append(paths, "/favicon.svg", "/favicon.ico")
		}
		for _, p := range paths {
			endpoints = append(endpoints, endpoint{p, read, document{contentType: contentType, body: body}.serve})
		}
	}
	return endpoints, nil
}

// reasons returns every reason, by name.
func reasons() []pages.Reason {
	var out []pages.Reason
	for number := range faultv1.Reason_name {
		reason := faultv1.Reason(number)
		if reason == faultv1.Reason_REASON_UNSPECIFIED {
			continue
		}
		spec := fault.SpecOf(reason)
		out = append(out, pages.Reason{
			Name: fault.Name(reason), Title: spec.Title, Description: spec.Description,
			Code: fault.CodeName(reason), Status: spec.HTTPStatus,
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// providerMetadata returns the description of the OAuth provider that clients read first
// (OpenID Connect Discovery 1.0, RFC 8414).
func providerMetadata(publicURL string) map[string]any {
	at := func(path string) string { return publicURL + path }
	methods := []string{"client_secret_basic", "client_secret_post"}
	return map[string]any{
		"issuer":                                         publicURL,
		"authorization_endpoint":                         at(pathAuthorize),
		"token_endpoint":                                 at(pathToken),
		"introspection_endpoint":                         at(pathIntrospect),
		"revocation_endpoint":                            at(pathRevoke),
		"userinfo_endpoint":                              at(pathUserInfo),
		"end_session_endpoint":                           at(pathEndSession),
		"jwks_uri":                                       at("/.well-known/jwks.json"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", "client_credentials"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"EdDSA"},
		"token_endpoint_auth_methods_supported":          append(slices.Clone(methods), "none"),
		"introspection_endpoint_auth_methods_supported":  methods,
		"revocation_endpoint_auth_methods_supported":     append(slices.Clone(methods), "none"),
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
		"claims_supported":                               []string{"sub", "name", "locale", "updated_at", "email", "email_verified", "auth_time", "amr", "sid"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
	}
}
