// Package sandbox runs functions as Lambda does: each in up to a fixed number of environments, child processes that
// fetch one invocation at a time from the Lambda Runtime API.
//
// Invariants: an environment has at most one invocation, and gets the next only after its process asked for it; an
// invocation ends exactly once, by response, error, death of the process or time; calls that find every environment
// busy are served in the order in which they came; an idle environment that was used last is used first, and one that
// stays idle is frozen, so that nothing in it goes on, or costs anything, between two invocations.
//
// When a process dies, its invocation fails, never hangs, and another environment takes its place. When this process
// dies, however it dies, the kernel ends the environments (on Linux), or they end themselves as soon as the Runtime
// API is gone (elsewhere, where the kernel wakes those that are frozen when they have become orphans).
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Region and account as the functions see them.
const (
	region  = "us-east-1"
	account = "000000000000"
)

// ErrBusy says that no environment came free in the time that the caller gave; nothing was started.
var ErrBusy = errors.New("every environment is busy")

// ErrClosed says that the host is shutting down; nothing was started.
var ErrClosed = errors.New("the stack is stopping")

// Function is what has to be known of a function to run it. Executable is the path of its bootstrap, Variables its
// environment as NAME=value, Memory is in MiB. Output gets whole lines of what its processes print.
type Function struct {
	Name       string
	Executable string
	Handler    string
	Timeout    time.Duration
	Memory     int
	Variables  []string
	Output     io.Writer
}

// ARN is the function's local Amazon resource name.
func (f Function) ARN() string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + f.Name
}

// Result is how an invocation ended. With Failed the payload is Lambda's error object; TimedOut and Died tell why it
// failed without an answer of the function's own. Cold marks the first invocation of an environment. Took leaves out
// the time spent waiting for an environment.
type Result struct {
	Payload  []byte
	Failed   bool
	TimedOut bool
	Died     bool
	Cold     bool
	Took     time.Duration
	// Detail is, for a person, the last line that a process printed before it died.
	Detail string
}

// Host serves the Runtime API and holds one pool per function.
type Host struct {
	address string
	server  *http.Server
	start   chan func()

	mu           sync.Mutex
	environments map[string]*environment
	pools        map[string]*Pool
	closed       bool
	alive        sync.WaitGroup
}

// Listen opens the Runtime API on a free port of the loopback interface. Close ends it and every environment.
func Listen() (*Host, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtime API: %w", err)
	}
	h := &Host{
		address:      listener.Addr().String(),
		start:        make(chan func()),
		environments: map[string]*environment{},
		pools:        map[string]*Pool{},
	}
	h.server = &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = h.server.Serve(listener) }()
	go startOnOneThread(h.start)
	return h, nil
}

// Add registers a function that may use up to most environments. Nothing is started yet.
func (h *Host) Add(f Function, most int) *Pool {
	p := &Pool{function: f, host: h, most: most, patience: patience}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools[f.Name] = p
	return p
}

// Pool is the pool of the function with that name, or nil.
func (h *Host) Pool(name string) *Pool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pools[name]
}

// Close ends every environment and waits until all are gone, or the context is.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	pools := h.pools
	h.mu.Unlock()
	for _, p := range pools {
		p.close()
	}
	gone := make(chan struct{})
	go func() { h.alive.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		return fmt.Errorf("environments still running: %w", ctx.Err())
	}
	return h.server.Close()
}

func (h *Host) environment(id string) *environment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.environments[id]
}

// adopt makes an environment reachable, unless the host is closing.
func (h *Host) adopt(e *environment) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.environments[e.id] = e
	h.alive.Add(1)
	return true
}

func (h *Host) forget(e *environment) {
	h.mu.Lock()
	delete(h.environments, e.id)
	h.mu.Unlock()
	h.alive.Done()
}

// newID makes a random id in the form of a UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// trace makes an X-Ray trace header for an invocation that is not sampled.
func trace(id string) string {
	bare := strings.ReplaceAll(id, "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), bare[:24], bare[16:])
}
