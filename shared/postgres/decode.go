package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/jsonscan"
)

// reader reads what a routine answers: null and what is missing change nothing, and members
// that nobody asks for are passed. encoding/json takes five times as long, which would be a
// third of what a handler adds to its statement.
type reader struct {
	jsonscan.Scanner
	member string // the last that was begun
	fault  error  // the first
}

// decode reads one value. Errors: ErrInternal.
func decode(raw []byte, read func(*reader)) error {
	r := reader{Scanner: jsonscan.New(string(raw))}
	read(&r)
	switch {
	case !r.Whole():
		return booking.ErrInternal.Because(errors.New("a routine's answer is no JSON"))
	case r.fault != nil:
		return booking.ErrInternal.Because(r.fault)
	}
	return nil
}

// expected notes that the member is not what it should be. What it is instead stays out of the
// log: it may be a token.
func (r *reader) expected(what string) {
	if r.fault == nil {
		r.fault = fmt.Errorf("a routine's answer: %q is no %s", r.member, what)
	}
}

// null passes a null, and says whether it was one.
func (r *reader) null() bool {
	if r.Next() != 'n' {
		return false
	}
	r.Value()
	return true
}

func (r *reader) integer(to *int64) {
	if r.null() {
		return
	}
	n, err := strconv.ParseInt(r.Value(), 10, 64)
	if err != nil {
		r.expected("integer")
	}
	*to = n
}

func (r *reader) millis(to *time.Duration) {
	var n int64
	r.integer(&n)
	*to = time.Duration(n) * time.Millisecond
}

// amount reads money, which routines write as text.
func (r *reader) amount(to *decimal.Decimal) {
	if r.null() {
		return
	}
	spelled, _ := r.Text()
	d, err := decimal.NewFromString(spelled)
	if err != nil {
		r.expected("amount")
	}
	*to = d
}

func (r *reader) boolean(to *bool) {
	if r.null() {
		return
	}
	spelled := r.Value()
	if *to = spelled == "true"; !*to && spelled != "false" {
		r.expected("boolean")
	}
}

// text reads a string into any of the domain's types of text.
func text[T ~string](r *reader, to *T) {
	if r.null() {
		return
	}
	value, is := r.Text()
	if !is {
		r.expected("text")
	}
	*to = T(value)
}

func (r *reader) instant(to *time.Time) {
	if r.null() {
		return
	}
	var spelled string
	text(r, &spelled)
	t, err := time.Parse(time.RFC3339, spelled)
	if err != nil {
		r.expected("time")
	}
	*to = t
}

func (r *reader) object(visit func(name string)) {
	member := func(name string) {
		r.member = name
		visit(name)
	}
	if !r.null() && !r.Object(member) {
		r.expected("object")
	}
}

func array[T any](r *reader, to *[]T, read func(*T)) {
	if r.null() {
		return
	}
	is := r.Array(func() {
		var item T
		read(&item)
		*to = append(*to, item)
	})
	if !is {
		r.expected("array")
	}
}
