package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	apiPrefix = "2018-06-01/runtime/"
	// maxResponse is Lambda's limit for a response.
	maxResponse = 6 << 20
)

// ServeHTTP is the Lambda Runtime API. The first segment of the path names the environment.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	e := h.environment(id)
	call, known := strings.CutPrefix(rest, apiPrefix)
	switch {
	case e == nil || !known:
		http.NotFound(w, r)
	case r.Method == http.MethodGet && call == "invocation/next":
		e.serveNext(w, r)
	case r.Method == http.MethodPost && call == "init/error":
		e.serveInitError(w, r)
	case r.Method == http.MethodPost && strings.HasPrefix(call, "invocation/"):
		invocation, kind, _ := strings.Cut(strings.TrimPrefix(call, "invocation/"), "/")
		if kind != "response" && kind != "error" {
			http.NotFound(w, r)
			return
		}
		e.serveAnswer(w, r, invocation, kind == "error")
	default:
		http.NotFound(w, r)
	}
}

// serveNext answers when there is an invocation, however long that takes.
func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	e.next()
	select {
	case inv := <-e.work:
		f := e.pool.function
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		header.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.started.Add(f.Timeout).UnixMilli(), 10))
		header.Set("Lambda-Runtime-Invoked-Function-Arn", f.ARN())
		header.Set("Lambda-Runtime-Trace-Id", trace(inv.id))
		// A process that is gone does not read this; its death ends the invocation.
		_, _ = w.Write(inv.payload)
	case <-e.died:
	case <-r.Context().Done():
	}
}

func (e *environment) serveAnswer(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	status := http.StatusAccepted
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		status, failed = http.StatusRequestEntityTooLarge, true
		payload = encode(failure{"Function.ResponseSizeTooLarge", "the response is larger than Lambda allows"})
	case err != nil:
		// The process died while it wrote; its death ends the invocation.
		status = http.StatusBadRequest
		respond(w, status, "InvalidRequest")
		return
	case r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "":
		failed = true
		payload = encode(failure{r.Trailer.Get("Lambda-Runtime-Function-Error-Type"), "the response broke off"})
	}
	if !e.answer(id, payload, failed) {
		respond(w, http.StatusBadRequest, "InvalidRequestID")
		return
	}
	respond(w, status, "")
}

// serveInitError notes why a process is about to give up; its death follows.
func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	var reported failure
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	if err == nil {
		err = json.Unmarshal(text, &reported)
	}
	if err == nil && reported.Message != "" {
		e.pool.mu.Lock()
		e.initError = reported.Message
		e.pool.mu.Unlock()
	}
	respond(w, http.StatusAccepted, "")
}

func respond(w http.ResponseWriter, status int, errorType string) {
	w.Header().Set("Content-Type", "application/json")
	body := `{"status":"OK"}`
	if errorType != "" {
		body = `{"errorType":"` + errorType + `","errorMessage":"` + errorType + `"}`
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
