// Package httpapi stands in for an API Gateway HTTP API with payload format 2.0: it routes requests, verifies tokens as
// the JWT authorizer does, answers for CORS, turns a request into an event and a function's response into an answer.
//
// Invariants: a function is called only for a route of the template, and, unless the route is open, only with a token
// that was verified; what API Gateway answers itself ({"message":"…"}: 401, 404, 413, 431, 500, 503) is answered here
// in the same words; a request holds no more than its own memory.
//
// When a function dies or fails, its caller gets a 500; when it runs out of time or no environment comes free in time,
// a 503. A caller that goes away ends nothing: an invocation that was started goes on.
package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stayhold/functions/local/sandbox"
	"stayhold/functions/local/template"
)

const (
	maxBody   = 10 << 20
	maxHeader = 10240
	// patience is how long a request may take in all, waiting for an environment included.
	patience = 29 * time.Second
)

// Invoker runs a function; *sandbox.Pool is one.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) (sandbox.Result, error)
}

// Entry is one line of the access log. Function is empty when none was called.
type Entry struct {
	Time     time.Time
	Method   string
	Path     string
	Status   int
	Took     time.Duration
	Function string
	Cold     bool
}

// Config is what an API is made of. Invoker gives the function of that name; Log is called once per request and must
// not wait.
type Config struct {
	Routes     []template.Route
	Cors       template.Cors
	Authorizer *Authorizer
	Invoker    func(function string) Invoker
	Log        func(Entry)
}

// API is the HTTP API.
type API struct {
	routes     []route
	cors       *cors
	authorizer *Authorizer
	log        func(Entry)
	patience   time.Duration
}

// New makes an API. Every function that a route names must have an invoker.
func New(c Config) *API {
	a := &API{authorizer: c.Authorizer, cors: newCors(c.Cors), log: c.Log, patience: patience}
	for _, r := range c.Routes {
		a.routes = append(a.routes, newRoute(r, c.Invoker(r.Function)))
	}
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{api: a, request: r, writer: w, entry: Entry{Time: time.Now(), Method: r.Method, Path: r.URL.Path}}
	c.id = newRequestID()
	c.serve()
	if a.log != nil {
		c.entry.Took = time.Since(c.entry.Time)
		a.log(c.entry)
	}
}

// call is one request on its way through the API.
type call struct {
	api     *API
	request *http.Request
	writer  http.ResponseWriter
	entry   Entry
	id      string
}

func (c *call) serve() {
	r := c.request
	if headerSize(r) > maxHeader {
		c.message(http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	c.api.cors.decorate(c.writer.Header(), r)
	if c.api.cors.preflight(c.writer, r) {
		c.entry.Status = http.StatusNoContent
		return
	}
	route, parameters := c.api.match(r)
	if route == nil {
		c.message(http.StatusNotFound, "Not Found")
		return
	}
	var claims []byte
	if !route.open {
		var err error
		// Repeated headers reach the authorizer as one, joined by commas, and two tokens are none.
		if claims, err = c.api.authorizer.Claims(strings.Join(r.Header["Authorization"], ",")); err != nil {
			c.writer.Header().Set("Www-Authenticate", challenge(err))
			c.message(http.StatusUnauthorized, "Unauthorized")
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.writer, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		c.message(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case err != nil:
		c.message(http.StatusBadRequest, "Bad Request")
		return
	}
	payload, err := c.event(route, parameters, claims, body)
	if err != nil {
		c.message(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	c.invoke(route, payload)
}

func (c *call) invoke(route *route, payload []byte) {
	c.entry.Function = route.function
	ctx, cancel := context.WithTimeout(c.request.Context(), c.api.patience)
	defer cancel()
	result, err := route.invoker.Invoke(ctx, payload)
	c.entry.Cold = result.Cold
	switch {
	case err != nil || result.TimedOut:
		c.message(http.StatusServiceUnavailable, "Service Unavailable")
	case result.Failed:
		c.message(http.StatusInternalServerError, "Internal Server Error")
	default:
		c.answer(result.Payload)
	}
}

// message answers as API Gateway does itself.
func (c *call) message(status int, text string) {
	c.writer.Header().Set("Content-Type", "application/json")
	c.write(status, []byte(`{"message":"`+text+`"}`))
}

func (c *call) write(status int, body []byte) {
	c.entry.Status = status
	header := c.writer.Header()
	header.Set("Apigw-Requestid", c.id)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	c.writer.WriteHeader(status)
	// A caller that is gone does not read this.
	_, _ = c.writer.Write(body)
}

// headerSize is what API Gateway counts: the request line and all header lines.
func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// Server makes an http.Server around a handler, fit for a thousand connections at once: nothing is limited but the
// time that a header may take and its size.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       10 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          quiet,
	}
}

// sourceIP is the caller's address without the port.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
