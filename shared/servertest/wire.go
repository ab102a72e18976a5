package servertest

import (
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Wire is a TCP proxy between a client and one server that counts round trips and loses what it is told to lose. What a
// round trip is, and what a T of the trace is, the protocol says. What opens a connection is not counted as a trip; new
// connections are counted apart.
type Wire[T any] struct {
	url      string
	port     string // of a server whose URL has none
	open     func() Session[T]
	listener net.Listener
	closed   chan struct{}
	running  sync.WaitGroup

	mu          sync.Mutex
	target      string // where new connections lead
	links       map[*link[T]]struct{}
	trace       []T
	trips       int
	received    int // bytes from the server
	connections int
	loseReply   int // the trip counted down to whose answer is lost; 0: none
	loseRequest int
	refuse      bool
	delay       time.Duration
}

// Session is one connection as its protocol has it. Asked and Answered are called one at a time over all connections of a
// Wire, and must not block.
type Session[T any] interface {
	// Greet passes on what comes before the first request and has to be read apart; an error ends the connection.
	Greet(client, server net.Conn) error
	// Asked takes note of a piece on its way to the server: it calls note for what belongs into the trace, and begin where
	// a round trip begins while none is under way. False, as begin says, ends the connection with the piece unsent.
	Asked(piece []byte, note func(T), begin func() bool) bool
	// Answered takes note of a piece on its way to the client and tells whether the round trip under way ends in it: the
	// server is done.
	Answered(piece []byte) bool
}

// NewWire puts a Wire in front of the server at u, which takes connections without TLS, on the port given unless u has
// one. Each connection gets a session from open.
func NewWire[T any](u *url.URL, port string, open func() Session[T]) (*Wire[T], error) {
	w := &Wire[T]{port: port, open: open, links: map[*link[T]]struct{}{}, closed: make(chan struct{})}
	w.Lead(u)
	var err error
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	through := *u
	through.Host = w.listener.Addr().String()
	w.url = through.String()
	w.running.Go(w.accept)
	return w, nil
}

// URL is the server's URL with the proxy's address in it.
func (w *Wire[T]) URL() string { return w.url }

// Lead has new connections go to the server at u, as an address does after a failover. Open ones stay where they are.
func (w *Wire[T]) Lead(u *url.URL) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = u.Host
	if u.Port() == "" {
		w.target = net.JoinHostPort(u.Hostname(), w.port)
	}
}

// Trips is the number of round trips since the last Reset; a pipeline is one.
func (w *Wire[T]) Trips() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips
}

// Trace lists what was sent since the last Reset, for the report of a test whose count is off.
func (w *Wire[T]) Trace() []T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.trace)
}

// Received is the number of bytes that the server has answered since the last Reset, once the connection was open.
func (w *Wire[T]) Received() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}

// Connections is the number of connections opened since the last Reset.
func (w *Wire[T]) Connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connections
}

// Reset counts from zero and takes back LoseReply, LoseRequest, Refuse and Delay. Open connections stay.
func (w *Wire[T]) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace, w.trips, w.received, w.connections = nil, 0, 0, 0
	w.loseReply, w.loseRequest, w.refuse, w.delay = 0, 0, false, 0
}

// LoseReply lets the n-th round trip from now (1: the next) reach the server, waits for the server to be done with it,
// and closes the connection instead of passing the answer on.
func (w *Wire[T]) LoseReply(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseReply = n
}

// LoseRequest closes the connection instead of passing on the n-th round trip from now (1: the next).
func (w *Wire[T]) LoseRequest(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loseRequest = n
}

// Refuse closes new connections at once while it is on, as a server that is down does.
func (w *Wire[T]) Refuse(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = on
}

// Delay keeps each answer back for d, as a server that far away does.
func (w *Wire[T]) Delay(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

// Cut closes every open connection, with whatever is under way on it.
func (w *Wire[T]) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		l.close()
	}
}

// Close stops listening, cuts every connection and returns when nothing of the proxy runs any more. Safe to repeat.
func (w *Wire[T]) Close() {
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

func (w *Wire[T]) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.serve(client) })
	}
}

func (w *Wire[T]) serve(client net.Conn) {
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	server, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link[T]{wire: w, client: client, server: server, session: w.open()}
	defer l.close()
	if !w.admit(l) {
		return
	}
	defer func() {
		w.mu.Lock()
		delete(w.links, l)
		w.mu.Unlock()
	}()
	if err := l.session.Greet(client, server); err != nil {
		return
	}
	w.running.Go(func() {
		defer l.close()
		pump(server, client, l.fromServer)
	})
	pump(client, server, l.fromClient)
}

// admit counts a new connection unless the proxy refuses it.
func (w *Wire[T]) admit(l *link[T]) bool {
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
