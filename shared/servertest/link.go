package servertest

import (
	"net"
	"time"
)

// link is one connection through the proxy. Its state, and the session's, is guarded by the wire's mutex.
type link[T any] struct {
	wire           *Wire[T]
	client, server net.Conn
	session        Session[T]
	losing         bool // the answer under way is not passed on
}

func (l *link[T]) close() {
	// Both ends are closed for good, whoever was first.
	_ = l.client.Close()
	_ = l.server.Close()
}

// fromClient looks at a piece on its way to the server; false ends the connection with the piece unsent.
func (l *link[T]) fromClient(piece []byte) bool {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	return l.session.Asked(piece, l.note, l.begin)
}

func (l *link[T]) note(what T) { l.wire.trace = append(l.wire.trace, what) }

// begin counts a round trip; false if it is one to lose before the server sees it.
func (l *link[T]) begin() bool {
	w := l.wire
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
	return true
}

// fromServer looks at a piece on its way to the client; false ends the connection with the piece unsent.
func (l *link[T]) fromServer(piece []byte) bool {
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
func (l *link[T]) answer(piece []byte) (keep, done bool, delay time.Duration) {
	w := l.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received += len(piece)
	ended := l.session.Answered(piece)
	return !l.losing, ended && l.losing, w.delay
}
