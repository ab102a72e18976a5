package httpapi

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"

	"stayhold/functions/local/template"
)

// quiet takes what net/http says about connections that callers broke off.
var quiet = log.New(io.Discard, "", 0)

// route is one route, its path cut into segments. A parameter's segment starts with a brace.
type route struct {
	key      string
	function string
	open     bool
	method   string
	segments []string
	invoker  Invoker
}

func newRoute(t template.Route, invoker Invoker) route {
	return route{
		key: t.Method + " " + t.Path, function: t.Function, open: t.Open, method: t.Method,
		segments: strings.Split(t.Path, "/"), invoker: invoker,
	}
}

// match finds the route of a request, a literal segment before a parameter, and the decoded parameters.
func (a *API) match(r *http.Request) (*route, map[string]string) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	var best *route
	for i := range a.routes {
		candidate := &a.routes[i]
		if candidate.fits(r.Method, segments) && (best == nil || candidate.literal(best)) {
			best = candidate
		}
	}
	if best == nil {
		return nil, nil
	}
	var parameters map[string]string
	for i, s := range best.segments {
		if !isParameter(s) {
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, nil
		}
		if parameters == nil {
			parameters = map[string]string{}
		}
		parameters[strings.Trim(s, "{}")] = value
	}
	return best, parameters
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func (t *route) fits(method string, segments []string) bool {
	if len(segments) != len(t.segments) || method != t.method && t.method != "ANY" {
		return false
	}
	for i, s := range t.segments {
		if isParameter(s) && segments[i] != "" {
			continue
		}
		if s != segments[i] {
			return false
		}
	}
	return true
}

// literal says whether t is more literal than other, judged by the first segment in which they differ.
func (t *route) literal(other *route) bool {
	for i, s := range t.segments {
		if isParameter(s) != isParameter(other.segments[i]) {
			return !isParameter(s)
		}
	}
	return false
}
