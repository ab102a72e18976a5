package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stayhold/functions/local/template"
)

// cors answers for the CorsConfiguration of the API. A nil cors is an API without one: it knows no preflight.
type cors struct {
	origins                          []string
	methods, headers, expose, maxAge string
}

func newCors(c template.Cors) *cors {
	if len(c.Origins) == 0 {
		return nil
	}
	return &cors{
		origins: c.Origins, methods: strings.Join(c.Methods, ","), headers: strings.ToLower(strings.Join(c.Headers, ",")),
		expose: strings.ToLower(strings.Join(c.Expose, ",")), maxAge: strconv.Itoa(c.MaxAge),
	}
}

// allowed is the origin to name in the answer, or empty.
func (c *cors) allowed(r *http.Request) string {
	origin := r.Header.Get("Origin")
	switch {
	case c == nil || origin == "":
		return ""
	case slices.Contains(c.origins, "*"):
		return "*"
	case slices.Contains(c.origins, origin):
		return origin
	}
	return ""
}

// decorate sets what every answer to an allowed origin bears, whoever gives the answer.
func (c *cors) decorate(header http.Header, r *http.Request) {
	origin := c.allowed(r)
	if origin == "" {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if origin != "*" {
		header.Set("Vary", "Origin")
	}
	if c.expose != "" {
		header.Set("Access-Control-Expose-Headers", c.expose)
	}
}

// preflight answers an OPTIONS request, and says whether it did.
func (c *cors) preflight(w http.ResponseWriter, r *http.Request) bool {
	if c == nil || r.Method != http.MethodOptions {
		return false
	}
	if c.allowed(r) != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		header := w.Header()
		header.Set("Access-Control-Allow-Methods", c.methods)
		header.Set("Access-Control-Allow-Headers", c.headers)
		header.Set("Access-Control-Max-Age", c.maxAge)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// own says whether an answer's header is the API's business when it has a CorsConfiguration, and not the function's.
func (c *cors) own(name string) bool {
	return c != nil && len(name) > 15 && strings.EqualFold(name[:15], "access-control-")
}
