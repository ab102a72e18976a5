package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"stayhold/shared/booking"
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
	kind    kind
	pointer string // RFC 6901
	raw     string // of a string or number: the token, quotes included
	text    string // of a string: decoded
	names   []string
	items   []*value // of an array, or of an object in the order of names
}

// parse reads exactly one JSON value in UTF-8. Errors: ErrInvalidJSON,
// ErrDuplicateField, ErrInvalidRequest (too deep).
func parse(body []byte) (*value, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, booking.ErrInvalidJSON
	}
	p := &parser{body: body, tokens: json.NewDecoder(bytes.NewReader(body))}
	p.tokens.UseNumber()
	token, raw, err := p.next()
	if err != nil {
		return nil, err
	}
	return p.value(token, raw, "", 0)
}

type parser struct {
	body   []byte
	tokens *json.Decoder
}

// next gives a token and its spelling. The syntax is known to be right by now.
func (p *parser) next() (json.Token, string, error) {
	from := p.tokens.InputOffset()
	token, err := p.tokens.Token()
	if err != nil {
		return nil, "", booking.ErrInvalidJSON
	}
	raw := bytes.TrimLeft(p.body[from:p.tokens.InputOffset()], " \t\r\n:,")
	return token, string(raw), nil
}

func (p *parser) value(token json.Token, raw, pointer string, depth int) (*value, error) {
	v := &value{kind: isOther, pointer: pointer, raw: raw}
	switch t := token.(type) {
	case json.Number:
		v.kind = isNumber
	case string:
		v.kind, v.text = isString, t
		return v, intact(t)
	case json.Delim:
		if depth == maxDepth {
			return nil, violated(booking.ErrInvalidRequest, pointer, "TOO_DEEP")
		}
		if t == '{' {
			return v, p.object(v, depth+1)
		}
		return v, p.array(v, depth+1)
	}
	return v, nil
}

func (p *parser) object(v *value, depth int) error {
	v.kind = isObject
	seen := map[string]bool{}
	for p.tokens.More() {
		token, _, err := p.next()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return booking.ErrInvalidJSON
		}
		if err := intact(name); err != nil {
			return err
		}
		pointer := v.pointer + "/" + escaped.Replace(name)
		if seen[name] {
			return violated(booking.ErrDuplicateField, pointer, booking.ErrDuplicateField.Code)
		}
		seen[name] = true
		v.names = append(v.names, name)
		if err := p.item(v, pointer, depth); err != nil {
			return err
		}
	}
	_, _, err := p.next()
	return err
}

func (p *parser) array(v *value, depth int) error {
	v.kind = isArray
	for p.tokens.More() {
		if err := p.item(v, v.pointer+"/"+strconv.Itoa(len(v.items)), depth); err != nil {
			return err
		}
	}
	_, _, err := p.next()
	return err
}

func (p *parser) item(v *value, pointer string, depth int) error {
	token, raw, err := p.next()
	if err != nil {
		return err
	}
	item, err := p.value(token, raw, pointer, depth)
	v.items = append(v.items, item)
	return err
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
