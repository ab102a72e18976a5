// Package invokeapi is Lambda's Invoke operation, as the AWS CLI and SDKs call it: served for the functions of the local
// stack (Handler), and called for functions that run elsewhere (Remote).
//
// Invariants: a payload reaches a function only as whole, valid JSON within Lambda's limits; what a function returns or
// fails with comes back unchanged. Signatures are not looked at: it listens on the loopback interface only.
//
// An Event invocation is acknowledged before it runs, and unlike on AWS it is not tried again when it fails: its failure
// is reported and that is all. When the stack stops, what is still queued is lost.
package invokeapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"stayhold/functions/local/sandbox"
)

const (
	maxRequest = 6291456
	maxEvent   = 1048576
)

// Invoker runs a function; *sandbox.Pool is one.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) (sandbox.Result, error)
}

// Done tells of an invocation that has ended: err is nil, or says why there is no result.
type Done func(function string, result sandbox.Result, err error)

// Handler serves POST /2015-03-31/functions/{name}/invocations, where name is a function's name or ARN. find gives its
// invoker, or nil. done, if not nil, hears of every invocation.
func Handler(find func(name string) Invoker, done Done) http.Handler {
	mux := http.NewServeMux()
	a := &api{find: find, done: done}
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", a.invoke)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "UnknownOperationException", "only POST /2015-03-31/functions/{name}/invocations is served here")
	})
	return mux
}

type api struct {
	find func(string) Invoker
	done Done
}

func (a *api) invoke(w http.ResponseWriter, r *http.Request) {
	name := bare(r.PathValue("name"))
	invoker := a.find(name)
	if invoker == nil {
		refuse(w, http.StatusNotFound, "ResourceNotFoundException",
			"Function not found: "+sandbox.Function{Name: name}.ARN())
		return
	}
	kind, limit := r.Header.Get("X-Amz-Invocation-Type"), int64(maxRequest)
	if kind == "Event" {
		limit = maxEvent
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			"Request must be smaller than "+strconv.FormatInt(limit, 10)+" bytes for the InvokeFunction operation")
		return
	case err != nil:
		return
	}
	if len(strings.TrimSpace(string(payload))) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: it is not JSON")
		return
	}
	switch kind {
	case "", "RequestResponse":
		a.wait(w, r, name, invoker, payload)
	case "Event":
		go func() {
			// Its end is told to done; there is nobody else to tell.
			_, _ = a.run(context.Background(), name, invoker, payload)
		}()
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "InvocationType is RequestResponse, Event or DryRun")
	}
}

func (a *api) wait(w http.ResponseWriter, r *http.Request, name string, invoker Invoker, payload []byte) {
	result, err := a.run(r.Context(), name, invoker, payload)
	switch {
	case errors.Is(err, sandbox.ErrBusy):
		refuse(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, "ServiceException", err.Error())
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(result.Payload)))
	header.Set("X-Amz-Executed-Version", "$LATEST")
	if result.Failed {
		header.Set("X-Amz-Function-Error", "Unhandled")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(result.Payload)
}

func (a *api) run(ctx context.Context, name string, invoker Invoker, payload []byte) (sandbox.Result, error) {
	result, err := invoker.Invoke(ctx, payload)
	if a.done != nil {
		a.done(name, result, err)
	}
	return result, err
}

// bare takes the name out of an ARN, and the qualifier off it.
func bare(name string) string {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// refuse answers with an error of the service.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(map[string]string{"Type": "User", "Message": message})
	if err != nil {
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
