package queue

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// early answers before it has read the request, as a fast server does.
type early struct{ got *http.Request }

func (e *early) Do(r *http.Request) (*http.Response, error) {
	e.got = r
	return httptest.NewRecorder().Result(), nil
}

// closable gives nothing more once it is closed.
type closable struct {
	io.Reader
	closed bool
}

func (c *closable) Read(p []byte) (int, error) {
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	return c.Reader.Read(p)
}

func (c *closable) Close() error {
	c.closed = true
	return nil
}

func TestRequestOutlivesTheCloseOfItsBody(t *testing.T) {
	t.Parallel()
	next := &early{}
	request := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/", &closable{Reader: strings.NewReader("whole")})
	response, err := ownBody{next}.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := request.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(next.got.Body); err != nil || string(body) != "whole" {
		t.Errorf("the transport reads %q, %v", body, err)
	}
}
