package api

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// The codes of single violations in INVALID_REQUEST's errors member.
const (
	required   = "REQUIRED"
	wrongType  = "INVALID_TYPE"
	wrongValue = "INVALID_VALUE"
	outOfRange = "OUT_OF_RANGE"
	notAllowed = "NOT_ALLOWED"
)

// ranks orders the faults of one body: the first that occurs names the answer.
var ranks = []*booking.Error{
	booking.ErrUnknownField, booking.ErrInvalidRequest, booking.ErrInvalidAmount, booking.ErrInvalidMethod,
}

// faults collects what is wrong with a body, so that a caller is told all of it.
type faults struct {
	of   []*booking.Error
	list []booking.Violation
}

func (f *faults) add(e *booking.Error, pointer, code string) {
	f.of = append(f.of, e)
	f.list = append(f.list, booking.Violation{Pointer: pointer, Code: code})
}

// maxViolations bounds the answer, which would be many times as long as a body of
// nothing but faults. Eight payments that are wrong throughout have as many.
const maxViolations = 2 * maxPayments

// err is nil, or the first in rank with the violations of that rank.
func (f *faults) err() error {
	for _, e := range ranks {
		var list []booking.Violation
		for i, of := range f.of {
			if of == e && len(list) < maxViolations {
				list = append(list, f.list[i])
			}
		}
		if list != nil {
			return e.With("errors", list)
		}
	}
	return nil
}

// fields reads the members of an object. What is missing or wrong goes to the faults
// and reads as zero.
type fields struct {
	*faults
	object *value // nil: there is none, which has been noted, and so has no members to miss
}

// open takes v as an object that has no other members than the named ones. Names are
// compared exactly.
func (f *faults) open(v *value, names ...string) fields {
	if v.kind != isObject {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongType)
		return fields{faults: f}
	}
	for i, name := range v.names {
		if !slices.Contains(names, name) {
			f.add(booking.ErrUnknownField, v.items[i].pointer(), booking.ErrUnknownField.Code)
		}
	}
	return fields{faults: f, object: v}
}

// optional gives a member, or nil.
func (f fields) optional(name string) *value {
	if f.object == nil {
		return nil
	}
	if i := slices.Index(f.object.names, name); i >= 0 {
		return f.object.items[i]
	}
	return nil
}

// member gives a member of a type, or nil and a fault.
func (f fields) member(name string, kinds ...kind) *value {
	v := f.optional(name)
	if v == nil {
		f.refuse(name, required)
		return nil
	}
	return f.typed(v, kinds...)
}

func (f fields) typed(v *value, kinds ...kind) *value {
	if !slices.Contains(kinds, v.kind) {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongType)
		return nil
	}
	return v
}

// refuse notes a violation of INVALID_REQUEST at a member.
func (f fields) refuse(name, code string) {
	if f.object == nil {
		return
	}
	f.add(booking.ErrInvalidRequest, f.object.pointerTo(name), code)
}

// id reads a JSON integer from 1 to 2^63-1.
func (f fields) id(name string) int64 {
	return f.integer(name, 1, 1<<63-1)
}

// optionalID reads an id, or 0 when there is none.
func (f fields) optionalID(name string) int64 {
	if f.optional(name) == nil {
		return 0
	}
	return f.id(name)
}

// integer reads a JSON integer: no fraction and no exponent, however spelled.
func (f fields) integer(name string, least, most int64) int64 {
	v := f.member(name, isNumber)
	if v == nil {
		return 0
	}
	if strings.ContainsAny(v.raw, ".eE") {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongType)
		return 0
	}
	n, err := strconv.ParseInt(v.raw, 10, 64)
	if err != nil || n < least || n > most {
		f.add(booking.ErrInvalidRequest, v.pointer(), outOfRange)
		return 0
	}
	return n
}

// text reads a string of 1 to most characters without control characters.
func (f fields) text(name string, most int) string {
	v := f.member(name, isString)
	if v == nil {
		return ""
	}
	blank := strings.TrimSpace(v.text) == ""
	if blank || utf8.RuneCountInString(v.text) > most || strings.ContainsFunc(v.text, isControl) {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongValue)
		return ""
	}
	return v.text
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// instant reads an RFC 3339 time.
func (f fields) instant(name string) time.Time {
	v := f.member(name, isString)
	if v == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.text)
	// The library takes one-digit hours and a comma before the fraction, too.
	if err != nil || v.text[13] != ':' || strings.Contains(v.text, ",") || t.UTC().Year() < 1 {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongValue)
		return time.Time{}
	}
	return t.UTC()
}

// amount reads money, a string or a number, by its spelling. A signed one may be
// negative; none may be 0.
func (f fields) amount(name string, signed bool) decimal.Decimal {
	v := f.member(name, isString, isNumber)
	if v == nil {
		return decimal.Zero
	}
	raw := v.raw
	if v.kind == isString {
		raw = raw[1 : len(raw)-1]
	}
	unsigned := raw
	if signed {
		unsigned = strings.TrimPrefix(raw, "-")
	}
	if isAmount(unsigned) {
		if amount, err := decimal.NewFromString(raw); err == nil && !amount.IsZero() {
			return amount
		}
	}
	f.add(booking.ErrInvalidAmount, v.pointer(), booking.ErrInvalidAmount.Code)
	return decimal.Zero
}

// isAmount matches ^(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?$.
func isAmount(raw string) bool {
	whole, fraction, point := strings.Cut(raw, ".")
	if !digits(whole, 13) || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	return !point || digits(fraction, 2)
}

func digits(text string, most int) bool {
	if len(text) == 0 || len(text) > most {
		return false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
