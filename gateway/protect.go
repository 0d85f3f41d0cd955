package gateway

import "net/http"

// dataPolicy is the content security policy of responses of the API. They are data:
// when a browser shows one, nothing in it may run or be framed. The pages of the site
// replace it by their own.
const dataPolicy = "default-src 'none'; frame-ancestors 'none'"

// protect returns a link that sets the security headers for browsers. With https, it
// tells them to use https alone (HSTS).
func protect(https bool) link {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("X-Frame-Options", "DENY")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Content-Security-Policy", dataPolicy)
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
			h.Set("Cache-Control", "no-store")
			if https || r.TLS != nil {
				h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
			}
			next.ServeHTTP(w, r)
		})
	}
}
