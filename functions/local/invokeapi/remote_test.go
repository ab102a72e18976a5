package invokeapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/sandbox"
)

// A remote function over a real Invoke operation, ours, is told from the function itself by nothing.
func TestRemoteIsAsTheFunction(t *testing.T) {
	for name, test := range map[string]struct {
		result   sandbox.Result
		err      error
		want     sandbox.Result
		is       error
		mentions string
	}{
		"answered":     {result: sandbox.Result{Payload: []byte(`{"a":1}`)}, want: sandbox.Result{Payload: []byte(`{"a":1}`)}},
		"failed":       {result: sandbox.Result{Payload: []byte(`{"errorMessage":"no"}`), Failed: true}, want: sandbox.Result{Payload: []byte(`{"errorMessage":"no"}`), Failed: true}},
		"out of time":  {result: sandbox.Result{Payload: []byte(`{"errorMessage":"x Task timed out after 3.00 seconds"}`), Failed: true}, want: sandbox.Result{Payload: []byte(`{"errorMessage":"x Task timed out after 3.00 seconds"}`), Failed: true, TimedOut: true}},
		"said so only": {result: sandbox.Result{Payload: []byte(`"Task timed out after 3.00 seconds"`)}, want: sandbox.Result{Payload: []byte(`"Task timed out after 3.00 seconds"`)}},
		"no answer":    {want: sandbox.Result{Failed: true, Died: true, Detail: "it ended without an answer"}},
		"busy":         {err: sandbox.ErrBusy, is: sandbox.ErrBusy},
		"closed":       {err: sandbox.ErrClosed, mentions: "500"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(Handler(func(function string) Invoker {
				if function != "F" {
					return nil
				}
				return invokerFunc(func(_ context.Context, payload []byte) (sandbox.Result, error) {
					if string(payload) != `{"b":2}` {
						t.Errorf("payload %s", payload)
					}
					return test.result, test.err
				})
			}, nil))
			defer server.Close()
			got, err := Remote{Endpoint: server.URL, Name: "F", Timeout: time.Second}.Invoke(t.Context(), []byte(`{"b":2}`))
			got.Took = 0
			if (err != nil) != (test.err != nil) || test.is != nil && !errors.Is(err, test.is) || err != nil && !strings.Contains(err.Error(), test.mentions) {
				t.Errorf("%v", err)
			}
			if string(got.Payload) != string(test.want.Payload) || got.Failed != test.want.Failed || got.TimedOut != test.want.TimedOut || got.Died != test.want.Died || got.Detail != test.want.Detail {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			_, err = Remote{Endpoint: server.URL, Name: "G", Timeout: time.Second}.Invoke(t.Context(), []byte("{}"))
			if err == nil || !strings.Contains(err.Error(), "Function not found") {
				t.Errorf("a function that is not there: %v", err)
			}
		})
	}
}

type invokerFunc func(ctx context.Context, payload []byte) (sandbox.Result, error)

func (f invokerFunc) Invoke(ctx context.Context, payload []byte) (sandbox.Result, error) {
	return f(ctx, payload)
}

func TestRemoteThatIsGone(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := Remote{Endpoint: server.URL, Name: "F", Timeout: time.Second}.Invoke(t.Context(), []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "F: "+server.URL+" does not answer: ") || strings.Count(err.Error(), server.URL) != 1 {
		t.Errorf("%v", err)
	}
}
