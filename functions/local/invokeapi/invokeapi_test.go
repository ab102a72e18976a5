package invokeapi

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"stayhold/functions/local/sandbox"
)

type function struct {
	got    chan string
	result sandbox.Result
	err    error
}

func (f *function) Invoke(_ context.Context, payload []byte) (sandbox.Result, error) {
	f.got <- string(payload)
	return f.result, f.err
}

func call(f *function, name, kind, payload string) *httptest.ResponseRecorder {
	h := Handler(func(n string) Invoker {
		if n == "SweepFunction" {
			return f
		}
		return nil
	}, nil)
	r := httptest.NewRequest("POST", "/2015-03-31/functions/"+name+"/invocations", strings.NewReader(payload))
	if kind != "" {
		r.Header.Set("X-Amz-Invocation-Type", kind)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func newFunction(payload string) *function {
	return &function{got: make(chan string, 1), result: sandbox.Result{Payload: []byte(payload)}}
}

func TestInvoke(t *testing.T) {
	for _, name := range []string{"SweepFunction", "arn:aws:lambda:us-east-1:000000000000:function:SweepFunction", "SweepFunction:$LATEST"} {
		f := newFunction(`{"ok":true}`)
		w := call(f, name, "", `{"a":1}`)
		if w.Code != 200 || w.Body.String() != `{"ok":true}` || <-f.got != `{"a":1}` || w.Header().Get("X-Amz-Function-Error") != "" {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
	f := newFunction(`{"errorType":"SOLD_OUT","errorMessage":"x"}`)
	f.result.Failed = true
	w := call(f, "SweepFunction", "RequestResponse", "")
	if w.Code != 200 || w.Header().Get("X-Amz-Function-Error") != "Unhandled" || <-f.got != "{}" {
		t.Errorf("a failed function: %d %v", w.Code, w.Header())
	}
}

func TestEventIsAcknowledgedAndRunsBehind(t *testing.T) {
	f := newFunction(`null`)
	if w := call(f, "SweepFunction", "Event", `{"a":1}`); w.Code != 202 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := <-f.got; got != `{"a":1}` {
		t.Errorf("payload %s", got)
	}
	if w := call(f, "SweepFunction", "DryRun", `{}`); w.Code != 204 {
		t.Errorf("a dry run: %d", w.Code)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		function, kind, payload string
		err                     error
		status                  int
		code                    string
	}{
		"unknown":  {"Nope", "", "{}", nil, 404, "ResourceNotFoundException"},
		"not JSON": {"SweepFunction", "", "{", nil, 400, "InvalidRequestContentException"},
		"kind":     {"SweepFunction", "Later", "{}", nil, 400, "InvalidParameterValueException"},
		"large":    {"SweepFunction", "", `"` + strings.Repeat("x", maxRequest) + `"`, nil, 413, "RequestTooLargeException"},
		"event":    {"SweepFunction", "Event", `"` + strings.Repeat("x", maxEvent) + `"`, nil, 413, "RequestTooLargeException"},
		"busy":     {"SweepFunction", "", "{}", sandbox.ErrBusy, 429, "TooManyRequestsException"},
		"closed":   {"SweepFunction", "", "{}", sandbox.ErrClosed, 500, "ServiceException"},
	} {
		f := newFunction("")
		f.err = test.err
		w := call(f, test.function, test.kind, test.payload)
		if w.Code != test.status || w.Header().Get("X-Amzn-Errortype") != test.code || !strings.Contains(w.Body.String(), `"Message"`) {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
}

func TestOtherPaths(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(func(string) Invoker { return nil }, nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 || w.Header().Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
