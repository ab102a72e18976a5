package holdtest

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Wire is a TCP proxy between a client and one Redis that counts commands and round trips and loses what it is told to
// lose. HELLO, AUTH, CLIENT, SELECT, READONLY and COMMAND, with which a client opens a connection, are not counted; new
// connections are counted apart. A cluster's clients go round it, since its nodes name their own addresses.
type Wire struct {
	url      string
	target   string
	listener net.Listener
	closed   chan struct{}
	running  sync.WaitGroup

	mu          sync.Mutex
	links       map[*link]struct{}
	seen        [][]string
	trips       int
	connections int
	loseReply   int // the trip counted down to whose answer is lost; 0: none
	loseRequest int
	refuse      bool
	delay       time.Duration
}

// link is one connection through the proxy. Its state is guarded by the wire's mutex.
type link struct {
	client, server net.Conn
	up             commands
	waiting        bool // a round trip is under way
	losing         bool // its answer is not passed on
}

func (l *link) close() {
	// Both ends are closed for good, whoever was first.
	_ = l.client.Close()
	_ = l.server.Close()
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
	w := &Wire{target: u.Host, links: map[*link]struct{}{}, closed: make(chan struct{})}
	if u.Port() == "" {
		w.target = net.JoinHostPort(u.Hostname(), "6379")
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u.Host = w.listener.Addr().String()
	w.url = u.String()
	w.running.Go(w.accept)
	return w, nil
}

// URL is the server's URL with the proxy's address in it.
func (w *Wire) URL() string { return w.url }

// Commands lists the names of the commands since the last Reset, in upper case and in order.
func (w *Wire) Commands() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.seen))
	for _, args := range w.seen {
		names = append(names, strings.ToUpper(args[0]))
	}
	return names
}

// Trace lists the commands since the last Reset with their arguments.
func (w *Wire) Trace() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// Trips is the number of round trips since the last Reset; a pipeline is one.
func (w *Wire) Trips() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips
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
	w.seen, w.trips, w.connections, w.loseReply, w.loseRequest, w.refuse, w.delay = nil, 0, 0, 0, 0, false, 0
}

// LoseReply lets the n-th round trip from now (1: the next) reach the server, waits until the server has answered, and
// closes the connection instead of passing the answer on.
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
	l := &link{client: client, server: server}
	defer l.close()
	if !w.admit(l) {
		return
	}
	defer func() {
		w.mu.Lock()
		delete(w.links, l)
		w.mu.Unlock()
	}()
	w.running.Go(func() {
		defer l.close()
		pump(l.server, l.client, func([]byte) bool { return w.fromServer(l) })
	})
	pump(l.client, l.server, func(piece []byte) bool { return w.fromClient(l, piece) })
}

// admit counts a new connection unless the proxy refuses it.
func (w *Wire) admit(l *link) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return false
	default:
	}
	if w.refuse {
		return false
	}
	w.links[l] = struct{}{}
	w.connections++
	return true
}

// fromClient looks at a piece on its way to the server; false ends the connection with the piece unsent.
func (w *Wire) fromClient(l *link, piece []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := l.up.feed(piece)
	for _, args := range all {
		if greets(args) {
			continue
		}
		w.seen = append(w.seen, args)
		if l.waiting {
			continue
		}
		l.waiting = true
		w.trips++
		if w.loseRequest > 0 {
			if w.loseRequest--; w.loseRequest == 0 {
				return false
			}
		}
		if w.loseReply > 0 {
			if w.loseReply--; w.loseReply == 0 {
				l.losing = true
			}
		}
	}
	return err == nil
}

// fromServer takes note of an answer; false ends the connection with it unsent. Redis runs all that it has read before
// it answers, so the first byte of an answer says that it is done.
func (w *Wire) fromServer(l *link) bool {
	w.mu.Lock()
	losing, delay := l.losing, w.delay
	l.waiting = false
	w.mu.Unlock()
	if losing {
		return false
	}
	if delay > 0 {
		time.Sleep(delay)
	}
	return true
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
