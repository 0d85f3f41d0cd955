package gateway_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

func TestDocuments(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	for _, c := range []struct{ path, contentType, want string }{
		{"/", "text/html; charset=utf-8", "http://127.0.0.1:8080/v1/auth/sign-in"},
		{"/docs", "text/html; charset=utf-8", "/pages/docs.js"},
		{"/docs/errors", "text/html; charset=utf-8", "NOT_FOUND"},
		{"/openapi.json", "application/json", `"openapi": "3.1.0"`},
		{"/version", "application/json", `"version":"v1.2.3"`},
		{"/favicon.svg", "image/svg+xml", "<svg"},
		{"/favicon.ico", "image/svg+xml", "<svg"},
		{"/pages/style.css", "text/css; charset=utf-8", "prefers-color-scheme"},
		{"/pages/docs.js", "text/javascript; charset=utf-8", "openapi.json"},
	} {
		t.Run(c.path, func(t *testing.T) {
			a := h.call("GET", c.path, "")
			if a.StatusCode != 200 || a.Header.Get("Content-Type") != c.contentType || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %q", a.StatusCode, a.Header.Get("Content-Type"))
			}
			if head := h.call("HEAD", c.path, ""); head.StatusCode != 200 || head.body != "" {
				t.Errorf("HEAD: %d", head.StatusCode)
			}
			a = h.call("POST", c.path, "{}")
			if a.problem(t); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("POST: %d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
			}
		})
	}
}

// Pages load nothing from other origins, and have no inline script or style. The policy
// would block both.
func TestPages_LoadNothingFromOtherOrigins(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son\w+=|<script[^>]*>[^<]|javascript:`)
	loads := regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	for _, path := range []string{"/", "/docs", "/docs/errors"} {
		body := h.call("GET", path, "").body
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		for _, match := range loads.FindAllStringSubmatch(body, -1) {
			if target := match[1]; strings.HasPrefix(target, "#") {
				continue
			} else if a := h.call("GET", target, ""); a.StatusCode >= 400 && target != "/.well-known/jwks.json" {
				t.Errorf("%s links %s: %d", path, target, a.StatusCode)
			}
		}
		if !strings.Contains(body, `<html lang="en">`) || !strings.Contains(body, `<main id="main"`) || strings.Count(body, "<h1") != 1 {
			t.Errorf("%s has no language, no main part or not exactly one heading", path)
		}
	}
}

func TestErrorsPage_ExplainsEveryReason(t *testing.T) {
	t.Parallel()
	h := start(t, &double{}, inMemory)
	body := h.call("GET", "/docs/errors", "").body
	for number := range faultv1.Reason_name {
		reason := faultv1.Reason(number)
		if reason != 0 && !strings.Contains(body, `<tr id="`+fault.Name(reason)+`">`) {
			t.Errorf("%s has no anchor", reason)
		}
	}
	var problem struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal([]byte(h.call("GET", "/v1/nothing", "").body), &problem); err != nil || problem.Type != "/docs/errors#ROUTE_NOT_FOUND" {
		t.Errorf("type %q, %v", problem.Type, err)
	}
}
