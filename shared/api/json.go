package api

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"stayhold/shared/booking"
	"stayhold/shared/jsonscan"
)

// maxDepth is how many objects and arrays may stand inside each other.
const maxDepth = 8

// kind is the type of a JSON value.
type kind string

const (
	isObject kind = "object"
	isArray  kind = "array"
	isString kind = "string"
	isNumber kind = "number"
	isOther  kind = "other" // true, false, null
)

// value is a JSON value with everything that encoding/json forgets: the spelling of
// numbers, the order and the exact names of members.
type value struct {
	kind  kind
	in    *value // the object or array that it stands in; nil for the whole body
	name  string // its name in an object
	index int    // its index in an array
	raw   string // of a string or number: the token, quotes included
	text  string // of a string: decoded
	names []string
	items []*value // of an object, in the order of names; or the first keptItems of an array
}

// keptItems is one more than any array may have, which shows that there are too many. What
// follows is only checked: thousands of items that nobody reads would cost more than all the
// rest of a refusal.
const keptItems = maxPayments + 1

// pointer says where the value stands (RFC 6901). It is put together only for a fault:
// thousands of items under one long name must not copy that name thousands of times.
func (v *value) pointer() string {
	switch {
	case v.in == nil:
		return ""
	case v.in.kind == isArray:
		return v.in.pointerTo(strconv.Itoa(v.index))
	}
	return v.in.pointerTo(v.name)
}

func (v *value) pointerTo(name string) string {
	return v.pointer() + "/" + escaped.Replace(name)
}

// parse reads exactly one JSON value in UTF-8. Errors: ErrInvalidJSON,
// ErrDuplicateField, ErrInvalidRequest (too deep).
func parse(body []byte) (*value, error) {
	p := &parser{body: string(body)}
	if !utf8.Valid(body) || !jsonscan.Valid(p.body) {
		return nil, booking.ErrInvalidJSON
	}
	v := &value{}
	return v, p.value(v, 0)
}

// parser walks through a body whose syntax is known to be right: the library's decoder
// takes ten times as long for the many small tokens that a hostile body is made of.
type parser struct {
	body string
	at   int
}

// next gives the first byte of the next token. What stands between tokens says nothing.
func (p *parser) next() byte {
	for strings.IndexByte(" \t\r\n,:", p.body[p.at]) >= 0 {
		p.at++
	}
	return p.body[p.at]
}

// value completes v, which knows its place, by what begins with the next token.
func (p *parser) value(v *value, depth int) (err error) {
	switch c := p.next(); c {
	case '{', '[':
		if depth == maxDepth {
			return violated(booking.ErrInvalidRequest, v.pointer(), "TOO_DEEP")
		}
		p.at++
		if c == '{' {
			return p.object(v, depth+1)
		}
		return p.array(v, depth+1)
	case '"':
		v.kind = isString
		v.raw, v.text, err = p.quoted()
		return err
	default:
		v.kind = isOther
		if c == '-' || c >= '0' && c <= '9' {
			v.kind = isNumber
		}
		v.raw = p.body[p.at:]
		if n := strings.IndexAny(v.raw, " \t\r\n,]}"); n >= 0 {
			v.raw = v.raw[:n]
		}
		p.at += len(v.raw)
		return nil
	}
}

// quoted reads a string: its token and what it means.
func (p *parser) quoted() (raw, text string, err error) {
	from, plain := p.at, true
	for p.at++; p.body[p.at] != '"'; p.at++ {
		if p.body[p.at] == '\\' {
			plain = false
			p.at++
		}
	}
	p.at++
	raw = p.body[from:p.at]
	text = jsonscan.Unquote(raw, plain)
	return raw, text, intact(text)
}

func (p *parser) object(v *value, depth int) error {
	v.kind = isObject
	seen := map[string]bool{}
	for p.next() != '}' {
		_, name, err := p.quoted()
		if err != nil {
			return err
		}
		if seen[name] {
			return violated(booking.ErrDuplicateField, v.pointerTo(name), booking.ErrDuplicateField.Code)
		}
		seen[name] = true
		item := &value{in: v, name: name}
		v.names, v.items = append(v.names, name), append(v.items, item)
		if err := p.value(item, depth); err != nil {
			return err
		}
	}
	p.at++
	return nil
}

func (p *parser) array(v *value, depth int) error {
	v.kind = isArray
	item := &value{}
	for index := 0; p.next() != ']'; index++ {
		*item = value{in: v, index: index}
		if err := p.value(item, depth); err != nil {
			return err
		}
		if index < keptItems {
			v.items, item = append(v.items, item), &value{}
		}
	}
	p.at++
	return nil
}

// intact refuses the replacement character: it stands where a decoder, here or on the
// way, met half a surrogate pair or bytes that were not UTF-8.
func intact(text string) error {
	if strings.ContainsRune(text, utf8.RuneError) {
		return booking.ErrInvalidJSON
	}
	return nil
}

var escaped = strings.NewReplacer("~", "~0", "/", "~1")

// violated is the error with one entry of its errors member.
func violated(e *booking.Error, pointer, code string) *booking.Error {
	return e.With("errors", []booking.Violation{{Pointer: pointer, Code: code}})
}
