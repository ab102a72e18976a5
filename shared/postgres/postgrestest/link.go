package postgrestest

import (
	"bytes"
	"net"
	"strings"
	"time"
)

// link is one connection through the proxy. Its state is guarded by the wire's mutex.
type link struct {
	wire           *Wire
	client, server net.Conn
	up, down       framer

	ready   bool // start-up is over
	waiting bool // a round trip is under way
	owed    int  // ReadyForQuery messages that the server still owes
	flushed bool // the trip began with Flush, which owes none
	losing  bool // the answer under way is not passed on
	said    []string
}

func (l *link) close() {
	// Both ends are closed for good, whoever was first.
	_ = l.client.Close()
	_ = l.server.Close()
}

// fromClient looks at a piece on its way to the server; false ends the connection with the piece unsent.
func (l *link) fromClient(piece []byte) bool {
	w := l.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range l.up.feed(piece) {
		if !l.ready {
			continue
		}
		l.said = append(l.said, describe(f))
		switch f.kind {
		case 'S', 'Q', 'F':
			l.owed++
		case 'H':
			l.flushed = true
		case 'c', 'f': // the end of COPY data, whose Q or S has been counted and is still owed
		default:
			continue
		}
		if l.waiting {
			continue
		}
		l.waiting = true
		w.trips = append(w.trips, strings.Join(l.said, " "))
		l.said = nil
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
	return true
}

// fromServer looks at a piece on its way to the client; false ends the connection with the piece unsent.
func (l *link) fromServer(piece []byte) bool {
	for {
		keep, done, delay := l.answer(piece)
		if done {
			return false
		}
		if keep {
			if delay > 0 {
				time.Sleep(delay)
			}
			return true
		}
		// The lost answer is read to its end, so that the server is known to be done when the client sees the cut.
		buf := make([]byte, 64<<10)
		n, err := l.server.Read(buf)
		if err != nil {
			return false
		}
		piece = buf[:n]
	}
}

// answer takes note of a piece of the server's: whether it is for the client, whether a lost answer has come to its end.
func (l *link) answer(piece []byte) (keep, done bool, delay time.Duration) {
	w := l.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range l.down.feed(piece) {
		switch {
		case f.kind == 'Z' && !l.ready:
			l.ready = true
			continue
		case f.kind == 'Z':
			l.owed--
		case f.kind == 'G': // the server asks for COPY data: the client has its answer, and what it sends next is a new trip
		case l.flushed:
		default:
			continue
		}
		if f.kind == 'Z' && l.owed > 0 {
			continue
		}
		l.flushed = false
		if f.kind == 'G' || l.owed == 0 {
			l.waiting, l.said = false, nil
			done = done || l.losing
		}
	}
	return !l.losing, done, w.delay
}

// describe names a message of the client, with the text of a statement.
func describe(f frame) string {
	names := map[byte]string{'P': "Parse", 'B': "Bind", 'D': "Describe", 'E': "Execute", 'S': "Sync", 'H': "Flush", 'Q': "Query", 'C': "Close", 'X': "Terminate", 'd': "CopyData", 'c': "CopyDone", 'f': "CopyFail", 'F': "FunctionCall"}
	name, ok := names[f.kind]
	if !ok {
		name = string(f.kind)
	}
	text := f.head
	if f.kind == 'P' {
		_, text, _ = bytes.Cut(text, []byte{0})
	} else if f.kind != 'Q' {
		return name
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	return name + "(" + strings.Join(strings.Fields(string(text)), " ") + ")"
}
