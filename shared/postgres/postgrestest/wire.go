package postgrestest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Wire is a TCP proxy between a client and Postgres that counts round trips and loses what it is told to lose.
//
// A round trip is one flush of the client that waits for an answer, on an open connection: a pipelined batch is one.
// Start-up and authentication are not counted, new connections are counted apart.
type Wire struct {
	url      string
	target   string
	listener net.Listener
	closed   chan struct{}
	running  sync.WaitGroup

	mu          sync.Mutex
	links       map[*link]struct{}
	trips       []string
	connections int
	loseReply   int // the trip counted down to whose answer is lost; 0: none
	loseRequest int
	refuse      bool
	delay       time.Duration
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

// NewWire puts a Wire in front of the server at databaseURL, which must take connections without TLS.
func NewWire(databaseURL string) (*Wire, error) {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the proxy wants a URL that begins with postgres://")
	}
	w := &Wire{target: u.Host, links: map[*link]struct{}{}, closed: make(chan struct{})}
	if u.Port() == "" {
		w.target = net.JoinHostPort(u.Hostname(), "5432")
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u.Host = w.listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	w.url = u.String()
	w.running.Go(w.accept)
	return w, nil
}

// URL is the server's URL with the proxy's address in it.
func (w *Wire) URL() string { return w.url }

// Trips is the number of round trips since the last Reset.
func (w *Wire) Trips() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.trips)
}

// Trace has a line for each round trip since the last Reset: the client's message types and the text of statements that
// it sent, for the report of a test whose count is off.
func (w *Wire) Trace() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.trips)
}

// Connections is the number of connections opened since the last Reset.
func (w *Wire) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connections
}

// Reset counts from zero and takes back LoseReply, LoseRequest, Refuse and Delay. Open connections stay.
func (w *Wire) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trips, w.connections, w.loseReply, w.loseRequest, w.refuse, w.delay = nil, 0, 0, 0, false, 0
}

// LoseReply lets the n-th round trip from now (1: the next) reach the server, waits for the server to be done with it,
// and closes the connection instead of passing the answer on.
func (w *Wire) LoseReply(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseReply = n
}

// LoseRequest closes the connection instead of passing on the n-th round trip from now (1: the next).
func (w *Wire) LoseRequest(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseRequest = n
}

// Refuse closes new connections at once while it is on, as a server that is down does.
func (w *Wire) Refuse(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = on
}

// Delay keeps each answer back for d, as a server that far away does.
func (w *Wire) Delay(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

// Cut closes every open connection, with whatever is under way on it.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		l.close()
	}
}

// Close stops listening, cuts every connection and returns when nothing of the proxy runs any more.
func (w *Wire) Close() {
	select {
	case <-w.closed:
		return
	default:
	}
	close(w.closed)
	// Closing a listener that failed by itself is no news.
	_ = w.listener.Close()
	w.Cut()
	w.running.Wait()
}

func (w *Wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.serve(client) })
	}
}

func (w *Wire) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", w.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{wire: w, client: client, server: server}
	defer l.close()
	w.mu.Lock()
	select {
	case <-w.closed:
		w.mu.Unlock()
		return
	default:
	}
	if w.refuse {
		w.mu.Unlock()
		return
	}
	w.links[l] = struct{}{}
	w.connections++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.links, l)
		w.mu.Unlock()
	}()
	if err := l.startup(); err != nil {
		return
	}
	w.running.Go(func() {
		defer l.close()
		pump(l.server, l.client, l.fromServer)
	})
	pump(l.client, l.server, l.fromClient)
}

// pump moves bytes until either side ends or look says no.
func pump(from, to net.Conn, look func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !look(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// startup passes the first message on, and answers requests for encryption with a no.
func (l *link) startup() error {
	const sslRequest, gssRequest = 80877103, 80877104
	for {
		message := make([]byte, 8)
		if _, err := io.ReadFull(l.client, message); err != nil {
			return err
		}
		size, code := binary.BigEndian.Uint32(message), binary.BigEndian.Uint32(message[4:])
		if code == sslRequest || code == gssRequest {
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		}
		if size < 8 || size > 10000 {
			return fmt.Errorf("a start-up message of %d bytes", size)
		}
		message = append(message, make([]byte, size-8)...)
		if _, err := io.ReadFull(l.client, message[8:]); err != nil {
			return err
		}
		_, err := l.server.Write(message)
		return err
	}
}
