package gateway

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"runtime"
	"sort"
	"strings"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/proto/openapi"
)

const pageMethods = "GET, HEAD"

// files are the pages and what they load. Nothing comes from elsewhere.
//
//go:embed pages
var files embed.FS

// page is one answer that is made at the start and never changes.
type page struct {
	contentType string
	body        []byte
	html        bool
}

// pages are the answers for people: the start page, the documentation, the
// version.
type pages struct{ byPath map[string]page }

// pageData is what the templates are filled with.
type pageData struct {
	PublicURL, Version string
	Local              bool
	Reasons            []reasonData
}

// reasonData is one reason for which a call can fail.
type reasonData struct {
	Name, Title, Description, Code string
	Status                         int
}

func newPages(config Config) (*pages, error) {
	data := pageData{
		PublicURL: strings.TrimRight(config.PublicURL, "/"),
		Version:   config.Version,
		Local:     config.Local,
		Reasons:   reasons(),
	}
	p := &pages{byPath: map[string]page{
		"/openapi.json": {contentType: "application/json", body: openapi.JSON()},
	}}
	templates, err := template.ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	for route, name := range map[string]string{
		"/": "start.html", "/docs": "docs.html", "/docs/errors": "errors.html",
	} {
		var out bytes.Buffer
		if err := templates.ExecuteTemplate(&out, name, data); err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		p.byPath[route] = page{contentType: "text/html; charset=utf-8", body: out.Bytes(), html: true}
	}
	if err := p.addAssets(); err != nil {
		return nil, err
	}
	metadata, err := metadataPage(data.PublicURL)
	if err != nil {
		return nil, err
	}
	p.byPath["/.well-known/openid-configuration"], p.byPath["/.well-known/oauth-authorization-server"] = metadata, metadata
	version, err := json.Marshal(map[string]string{"version": config.Version, "go": runtime.Version()})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.byPath["/version"] = page{contentType: "application/json", body: version}
	return p, nil
}

// addAssets serves the styles, the scripts and the icon that pages load.
func (p *pages) addAssets() error {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := files.ReadDir("pages")
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	for _, entry := range entries {
		contentType, ok := types[path.Ext(entry.Name())]
		if !ok {
			continue
		}
		body, err := files.ReadFile("pages/" + entry.Name())
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		p.byPath["/pages/"+entry.Name()] = page{contentType: contentType, body: body}
	}
	p.byPath["/favicon.svg"] = p.byPath["/pages/favicon.svg"]
	p.byPath["/favicon.ico"] = p.byPath["/pages/favicon.svg"]
	return nil
}

// reasons lists every reason, by name.
func reasons() []reasonData {
	var out []reasonData
	for number := range faultv1.Reason_name {
		reason := faultv1.Reason(number)
		if reason == faultv1.Reason_REASON_UNSPECIFIED {
			continue
		}
		spec := fault.SpecOf(reason)
		out = append(out, reasonData{
			Name: fault.Name(reason), Title: spec.Title, Description: spec.Description,
			Code: fault.CodeName(reason), Status: spec.HTTPStatus,
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// servePage answers when the path is a page's, and reports whether it is.
func (g *Gateway) servePage(w http.ResponseWriter, r *http.Request) bool {
	page, ok := g.pages.byPath[r.URL.Path]
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
	h.Set("Content-Type", page.contentType)
	h.Set("Cache-Control", "no-cache")
	if page.html {
		h.Set("Content-Security-Policy", pagePolicy)
	}
	defer writeDeadline(w)()
	_, _ = w.Write(page.body) // a client that goes away is its own business
	return true
}
