package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"runtime"
	"sort"

	"github.com/a-h/templ"

	"github.com/gatehouse/gatehouse/gateway/pages"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/proto/openapi"
)

const pageMethods = "GET, HEAD"

// document is one answer that is made at the start and never changes.
type document struct {
	contentType string
	body        []byte
	html        bool
}

// documents are the answers for people: the start page, the documentation, the
// version.
type documents struct{ byPath map[string]document }

func newDocuments(ctx context.Context, site pages.Site) (*documents, error) {
	d := &documents{byPath: map[string]document{
		"/openapi.json": {contentType: "application/json", body: openapi.JSON()},
	}}
	for route, page := range map[string]templ.Component{
		"/": site.Start(), "/docs": site.Docs(), "/docs/errors": site.Errors(reasons()),
	} {
		var out bytes.Buffer
		if err := page.Render(ctx, &out); err != nil {
			return nil, fmt.Errorf("page %s: %w", route, err)
		}
		d.byPath[route] = document{contentType: "text/html; charset=utf-8", body: out.Bytes(), html: true}
	}
	if err := d.addAssets(); err != nil {
		return nil, err
	}
	metadata, err := metadataPage(site.PublicURL)
	if err != nil {
		return nil, err
	}
	d.byPath["/.well-known/openid-configuration"], d.byPath["/.well-known/oauth-authorization-server"] = metadata, metadata
	version, err := json.Marshal(map[string]string{"version": site.Version, "go": runtime.Version()})
	if err != nil {
		return nil, fmt.Errorf("documents: %w", err)
	}
	d.byPath["/version"] = document{contentType: "application/json", body: version}
	return d, nil
}

// addAssets serves the styles, the scripts and the icon that pages load.
func (d *documents) addAssets() error {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := pages.Assets.ReadDir(".")
	if err != nil {
		return fmt.Errorf("documents: %w", err)
	}
	for _, entry := range entries {
		contentType, ok := types[path.Ext(entry.Name())]
		if !ok {
			continue
		}
		body, err := pages.Assets.ReadFile(entry.Name())
		if err != nil {
			return fmt.Errorf("documents: %w", err)
		}
		d.byPath["/pages/"+entry.Name()] = document{contentType: contentType, body: body}
	}
	d.byPath["/favicon.svg"] = d.byPath["/pages/favicon.svg"]
	d.byPath["/favicon.ico"] = d.byPath["/pages/favicon.svg"]
	return nil
}

// reasons lists every reason, by name.
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

// serveDocument answers when the path is a document's, and reports whether it is.
func (g *Gateway) serveDocument(w http.ResponseWriter, r *http.Request) bool {
	found, ok := g.documents.byPath[r.URL.Path]
	if !ok {
		return false
	}
	exchangeOf(r.Context()).route = r.URL.Path
	h := w.Header()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Allow", pageMethods)
		w.WriteHeader(http.StatusNoContent)
		return true
	default:
		h.Set("Allow", pageMethods)
		g.fail(w, r, fault.New(faultv1.Reason_REASON_METHOD_NOT_ALLOWED, "this path has %s", pageMethods))
		return true
	}
	h.Set("Content-Type", found.contentType)
	h.Set("Cache-Control", "no-cache")
	if found.html {
		h.Set("Content-Security-Policy", pagePolicy)
	}
	defer writeDeadline(w)()
	_, _ = w.Write(found.body) // a client that goes away is its own business
	return true
}
