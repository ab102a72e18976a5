package bookingtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// reply is what one side said to an operation.
type reply struct {
	value any
	err   error
}

// rendering is a reply as a text in which every time is an @, and apart from it how
// far each time is from the side's clock.
type rendering struct {
	side  *party
	text  strings.Builder
	times []time.Duration
}

func (s *party) render(a reply) *rendering {
	r := &rendering{side: s}
	r.value(reflect.ValueOf(a.value))
	r.text.WriteString(" / ")
	r.fault(a.err)
	if _, stored := a.value.(*booking.Recalled); stored {
		r.times = nil // Postgres has them in a text, where they did not pass with the rows
	}
	return r
}

// apart is how far two times may be apart: less than any two durations that the
// operations choose, or that the database counts, differ.
const apart = 900 * time.Millisecond

// equal holds two renderings against each other.
func (p *pair) equal(fake, real *rendering) bool {
	return fake.text.String() == real.text.String() && (p.stalled || slices.EqualFunc(fake.times, real.times, func(a, b time.Duration) bool {
		return (a - b).Abs() < apart
	}))
}

func (r *rendering) String() string {
	return fmt.Sprintf("%s\n    times from its clock %v", r.text.String(), r.times)
}

func (r *rendering) fault(err error) {
	var told *booking.Error
	if !errors.As(err, &told) {
		fmt.Fprint(&r.text, err)
		return
	}
	r.text.WriteString(told.Code)
	r.value(reflect.ValueOf(told.Members))
}

// none stands for what is not there, or NULL.
const none = "-"

func (r *rendering) value(v reflect.Value) {
	if !v.IsValid() {
		r.text.WriteString(none)
		return
	}
	switch x := v.Interface().(type) {
	case time.Time:
		r.time(x)
		return
	case time.Duration:
		r.times = append(r.times, x)
		r.text.WriteByte('@')
		return
	case decimal.Decimal:
		r.string(x.StringFixed(2))
		return
	case json.Number:
		r.string(x.String())
		return
	case error:
		r.fault(x)
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		r.value(v.Elem())
	case reflect.String:
		r.string(v.String())
	case reflect.Struct:
		r.text.WriteByte('{')
		for field, value := range v.Fields() {
			r.text.WriteString(field.Name + ":")
			r.value(value)
			r.text.WriteByte(' ')
		}
		r.text.WriteByte('}')
	case reflect.Slice:
		r.text.WriteByte('[')
		for i := range v.Len() {
			r.value(v.Index(i))
			r.text.WriteByte(' ')
		}
		r.text.WriteByte(']')
	case reflect.Map:
		r.members(v.Interface())
	default:
		r.string(fmt.Sprint(v.Interface()))
	}
}

func (r *rendering) members(m any) {
	members, _ := m.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		r.text.WriteString(name + ":")
		r.value(reflect.ValueOf(members[name]))
		r.text.WriteByte(' ')
	}
}

func (r *rendering) time(t time.Time) {
	if t.IsZero() {
		r.text.WriteString(none)
		return
	}
	r.times = append(r.times, t.Sub(r.side.moment))
	r.text.WriteByte('@')
}

var (
	orderForm  = regexp.MustCompile(`sh-[0-9a-f]{32}`)
	writtenOut = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][0-9:.]+(Z| \+0000 UTC|[+-]\d\d(:\d\d)?)`)
	nothing    = regexp.MustCompile(`\b0\.00\b`) // a sum of no rows has no decimals
)

func (r *rendering) string(s string) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		r.time(t)
		return
	}
	s = orderForm.ReplaceAllStringFunc(s, r.side.order)
	// What a line for a person says of times does not pass with the rows.
	s = writtenOut.ReplaceAllString(s, "(time)")
	s = nothing.ReplaceAllString(s, "0")
	if s == "" || s == "0" {
		s = none
	}
	r.text.WriteString(s)
}

// order gives an order id the same name on both sides.
func (s *party) order(id string) string {
	if s.orders[id] == "" {
		s.orders[id] = fmt.Sprintf("order-%d", len(s.orders)+1)
	}
	return s.orders[id]
}
