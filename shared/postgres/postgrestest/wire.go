package postgrestest

import (
	"errors"
	"net/url"
	"testing"

	"stayhold/shared/servertest"
)

// Wire is a TCP proxy between a client and Postgres that counts round trips and loses what it is told to lose.
//
// A round trip is one flush of the client that waits for an answer, on an open connection: a pipelined batch is one.
// Start-up and authentication are not counted, new connections are counted apart. The trace has a line for each round
// trip: the client's message types and the text of statements that it sent.
type Wire struct{ *servertest.Wire[string] }

// Proxy puts a Wire in front of the server at url until the test ends.
func Proxy(t testing.TB, url string) *Wire {
	t.Helper()
	w, err := NewWire(url)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(w.Close)
	return w
}

// NewWire puts a Wire in front of the server at databaseURL, which must take connections without TLS.
func NewWire(databaseURL string) (*Wire, error) {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the proxy wants a URL that begins with postgres://")
	}
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	w, err := servertest.NewWire(u, "5432", func() servertest.Session[string] { return &session{} })
	if err != nil {
		return nil, err
	}
	return &Wire{w}, nil
}
