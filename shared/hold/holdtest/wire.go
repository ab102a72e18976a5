package holdtest

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"stayhold/shared/servertest"
)

// Wire is a TCP proxy between a client and one Redis that counts commands and round trips and loses what it is told to
// lose. HELLO, AUTH, CLIENT, SELECT, READONLY and COMMAND, with which a client opens a connection, are not counted; new
// connections are counted apart. A cluster's clients go round it, since its nodes name their own addresses, but for
// Masters.Proxies. The trace has the commands with their arguments.
type Wire struct {
	*servertest.Wire[[]string]
	openings *openings
}

// openings are what the connections through a Wire were opened with, of all its sessions.
type openings struct {
	sync.Mutex
	said []string
}

func (o *openings) note(args []string) {
	o.Lock()
	defer o.Unlock()
	o.said = append(o.said, strings.ToUpper(strings.Join(args[:min(2, len(args))], " ")))
}

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

// NewWire puts a Wire in front of the server at redisURL: one server, without TLS.
func NewWire(redisURL string) (*Wire, error) {
	u, err := url.Parse(redisURL)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		return nil, errors.New("the proxy wants one URL that begins with redis://")
	}
	o := &openings{}
	w, err := servertest.NewWire(u, "6379", func() servertest.Session[[]string] { return &session{openings: o} })
	if err != nil {
		return nil, err
	}
	return &Wire{w, o}, nil
}

// Openings lists the commands that are not counted, of all connections so far: their first two words, in upper case.
func (w *Wire) Openings() []string {
	w.openings.Lock()
	defer w.openings.Unlock()
	return slices.Clone(w.openings.said)
}

// Commands lists the names of the commands since the last Reset, in upper case and in order.
func (w *Wire) Commands() []string {
	trace := w.Trace()
	names := make([]string, 0, len(trace))
	for _, args := range trace {
		names = append(names, strings.ToUpper(args[0]))
	}
	return names
}
