package queuetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"stayhold/shared/queue"
)

// Running is a server that listens on a free port of 127.0.0.1.
type Running struct {
	*Server
	URL string // the endpoint, http://127.0.0.1:PORT
}

// Start runs a server for the length of a test, in memory unless the options name
// a directory. The test fails if it cannot start.
func Start(t testing.TB, options Options) *Running {
	t.Helper()
	s, err := New(options)
	if err != nil {
		t.Fatalf("start the queue server: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the queue server: %v", err)
	}
	web := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- web.Serve(listener) }()
	t.Cleanup(func() {
		// First the queues, so that no long poll holds the listener up.
		if err := s.Close(); err != nil {
			t.Errorf("close the queue server: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := web.Shutdown(ctx); err != nil {
			t.Errorf("stop the queue server: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the queue server stopped: %v", err)
		}
	})
	return &Running{Server: s, URL: "http://" + listener.Addr().String()}
}

// QueueURL gives the URL of the queue of that name, whether it exists or not.
func (r *Running) QueueURL(name string) string {
	return r.URL + "/" + AccountID + "/" + name
}

// Options gives what queue.New needs to send to the queue of that name.
func (r *Running) Options(name string) queue.Options {
	return queue.Options{
		QueueURL: r.QueueURL(name), Endpoint: r.URL, Region: r.region,
		AccessKeyID: "test", SecretAccessKey: "test",
	}
}
