package holdtest

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
)

// session is one connection through the proxy, as the Redis protocol has it.
type session struct {
	openings *openings
	up       commands
	waiting  bool // a round trip is under way
}

// Greet does nothing: a connection opens with commands like any other.
func (s *session) Greet(_, _ net.Conn) error { return nil }

// Asked traces each command and begins a round trip at the first of those that come together. What is no command ends the
// connection.
func (s *session) Asked(piece []byte, note func([]string), begin func() bool) bool {
	all, err := s.up.feed(piece)
	for _, args := range all {
		if greets(args) {
			s.openings.note(args)
			continue
		}
		note(args)
		if s.waiting {
			continue
		}
		s.waiting = true
		if !begin() {
			return false
		}
	}
	return err == nil
}

// Answered ends the round trip: Redis runs all that it has read before it answers, so the first byte of an answer says
// that it is done.
func (s *session) Answered([]byte) bool {
	s.waiting = false
	return true
}

// errProtocol says that a client does not speak arrays of bulk strings, as every client library does.
var errProtocol = errors.New("not a Redis command")

// commands cuts a client's byte stream, in whatever pieces it comes, into commands.
type commands struct{ rest []byte }

// feed returns the arguments of each command that ends in this piece.
func (c *commands) feed(piece []byte) ([][]string, error) {
	c.rest = append(c.rest, piece...)
	var all [][]string
	for len(c.rest) > 0 {
		args, used, err := parseCommand(c.rest)
		if err != nil {
			return all, err
		}
		if used == 0 {
			break
		}
		all = append(all, args)
		c.rest = c.rest[used:]
	}
	// A fresh slice, so that what has been cut off is freed.
	c.rest = bytes.Clone(c.rest)
	return all, nil
}

// parseCommand reads one command; 0 bytes used when its end has not come yet.
func parseCommand(b []byte) (args []string, used int, err error) {
	count, at, err := number(b, 0, '*')
	if err != nil || at == 0 {
		return nil, 0, err
	}
	for range count {
		size, next, err := number(b, at, '$')
		if err != nil || next == 0 || len(b) < next+size+2 {
			return nil, 0, err
		}
		args = append(args, string(b[next:next+size]))
		at = next + size + 2
	}
	return args, at, nil
}

// number reads a line of the form <mark><digits>CRLF at a position and returns the position behind it, 0 if it has not
// all come.
func number(b []byte, at int, mark byte) (n, next int, err error) {
	if at >= len(b) {
		return 0, 0, nil
	}
	if b[at] != mark {
		return 0, 0, errProtocol
	}
	line, _, whole := bytes.Cut(b[at:], []byte("\r\n"))
	if !whole {
		return 0, 0, nil
	}
	n, err = strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 {
		return 0, 0, errProtocol
	}
	return n, at + len(line) + 2, nil
}

// greets tells whether a command only sets a connection up, which is not counted.
func greets(args []string) bool {
	if len(args) == 0 {
		return true
	}
	switch strings.ToUpper(args[0]) {
	case "HELLO", "AUTH", "CLIENT", "SELECT", "READONLY", "COMMAND":
		return true
	}
	return false
}
