package postgrestest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// session is one connection through the proxy, as the Postgres protocol has it.
type session struct {
	up, down framer

	ready   bool // start-up is over
	waiting bool // a round trip is under way
	owed    int  // ReadyForQuery messages that the server still owes
	flushed bool // the trip began with Flush, which owes none
	said    []string
}

// Greet passes the first message on, and answers requests for encryption with a no.
func (s *session) Greet(client, server net.Conn) error {
	const sslRequest, gssRequest = 80877103, 80877104
	for {
		message := make([]byte, 8)
		if _, err := io.ReadFull(client, message); err != nil {
			return err
		}
		size, code := binary.BigEndian.Uint32(message), binary.BigEndian.Uint32(message[4:])
		if code == sslRequest || code == gssRequest {
			if _, err := client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		}
		if size < 8 || size > 10000 {
			return fmt.Errorf("a start-up message of %d bytes", size)
		}
		message = append(message, make([]byte, size-8)...)
		if _, err := io.ReadFull(client, message[8:]); err != nil {
			return err
		}
		_, err := server.Write(message)
		return err
	}
}

// Asked begins a round trip at a message that wants an answer, and traces it with those that led up to it.
func (s *session) Asked(piece []byte, note func(string), begin func() bool) bool {
	for _, f := range s.up.feed(piece) {
		if !s.ready {
			continue
		}
		s.said = append(s.said, describe(f))
		switch f.kind {
		case 'S', 'Q', 'F':
			s.owed++
		case 'H':
			s.flushed = true
		case 'c', 'f': // the end of COPY data, whose Q or S has been counted and is still owed
		default:
			continue
		}
		if s.waiting {
			continue
		}
		s.waiting = true
		note(strings.Join(s.said, " "))
		s.said = nil
		if !begin() {
			return false
		}
	}
	return true
}

// Answered ends a round trip when the server owes nothing, or asks for COPY data.
func (s *session) Answered(piece []byte) bool {
	ended := false
	for _, f := range s.down.feed(piece) {
		switch {
		case f.kind == 'Z' && !s.ready:
			s.ready = true
			continue
		case f.kind == 'Z':
			s.owed--
		case f.kind == 'G': // the server asks for COPY data: the client has its answer, and what it sends next is a new trip
		case s.flushed:
		default:
			continue
		}
		if f.kind == 'Z' && s.owed > 0 {
			continue
		}
		s.flushed = false
		if f.kind == 'G' || s.owed == 0 {
			s.waiting, s.said = false, nil
			ended = true
		}
	}
	return ended
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
