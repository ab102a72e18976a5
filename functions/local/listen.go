package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"stayhold/functions/local/httpapi"
)

// door is the handler of a port: it answers only once there is something to answer with.
type door struct {
	handler atomic.Pointer[http.Handler]
	opened  chan struct{}
	once    sync.Once
}

// ServeHTTP waits until the door is open: a caller that comes while the stack starts is served when it is up.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-d.opened:
		(*d.handler.Load()).ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

func (d *door) open(handler http.Handler) {
	d.handler.Store(&handler)
	d.once.Do(func() { close(d.opened) })
}

// listen takes every port that will be needed before anything starts, so that a port that is taken is told at once.
func (s *stack) listen(context.Context) error {
	uses := map[int]string{0: "the API", 1: "the invoke API"}
	if s.gatewayURL == "" {
		uses[2] = "the payment simulator"
	}
	if s.sqsEndpoint == "" {
		uses[3] = "the queue"
	}
	for n := range 4 {
		use, wanted := uses[n]
		if !wanted {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port+n))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d, for %s, is taken: stop what listens there, or set PORT to another number", s.port+n, use)
		}
		if err != nil {
			return fmt.Errorf("port %d, for %s: %w", s.port+n, use, rootCause(err))
		}
		s.serveOn(n, listener)
	}
	return nil
}

func (s *stack) serveOn(n int, listener net.Listener) {
	d := &door{opened: make(chan struct{})}
	server := httpapi.Server(d)
	s.doors[n] = d
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failure <- fmt.Errorf("port %d: %w", s.port+n, err)
		}
	}()
	when := callers
	if n >= 2 {
		when = servers
	}
	s.later(when, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, requestGrace)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			// Requests that are still under way lose their connection; their rows are found by the sweep.
			_ = server.Close()
		}
	})
}

// open begins to answer on the port n behind the API's.
func (s *stack) open(n int, handler http.Handler) { s.doors[n].open(handler) }

// share has what listens on a port of 127.0.0.1 reached at the second address too, if there is one: each connection
// that comes there is carried over, so that a server need not know of it, nor trust anybody but this machine.
func (s *stack) share(port int) error {
	if s.second == "" {
		return nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.second, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("ALSO_LISTEN: port %d of %s: %w", port, s.second, rootCause(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			outside, err := listener.Accept()
			if err != nil {
				return // closed below; one that could not be taken is tried again by its caller
			}
			go carry(ctx, outside, port)
		}
	}()
	s.later(servers, func(context.Context) {
		_ = listener.Close()
		cancel()
	})
	return nil
}

// carry hands on what either side sends, until both have ended or the stack stops.
func carry(ctx context.Context, outside net.Conn, port int) {
	defer func() { _ = outside.Close() }()
	inside, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return // the server is down, and whoever asked sees that
	}
	defer func() { _ = inside.Close() }()
	defer context.AfterFunc(ctx, func() { _ = errors.Join(outside.Close(), inside.Close()) })()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{outside, inside}, {inside, outside}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if end, ok := way[0].(*net.TCPConn); ok {
				_ = end.CloseWrite()
			}
		})
	}
	both.Wait()
}
