package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"stayhold/shared/booking"
)

const (
	bodyVersion = "1"
	maxBody     = 16 << 10 // bytes; looked at before parsing
)

// ErrMalformed is what Parse and Encode answer to anything but
// {"version":1,"task":"compensate"|"resolve","bookingId":n}, wrapped with the reason.
var ErrMalformed = errors.New("queue: malformed message")

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

func known(task booking.Task) bool {
	return task == booking.TaskCompensate || task == booking.TaskResolve
}

// Encode gives the body of a message, or ErrMalformed if Parse would refuse it.
func Encode(m booking.Message) (string, error) {
	if !known(m.Task) {
		return "", malformed("unknown task")
	}
	if m.BookingID <= 0 {
		return "", malformed("bookingId is not positive")
	}
	return `{"version":` + bodyVersion + `,"task":"` + string(m.Task) +
		`","bookingId":` + strconv.FormatInt(m.BookingID, 10) + `}`, nil
}

// Parse reads the body of a message: one JSON object in UTF-8 of at most 16 KiB,
// with exactly the members version (1), task and bookingId (a positive int64
// written as an integer), each once and in any order. All else is ErrMalformed.
func Parse(body string) (booking.Message, error) {
	if len(body) > maxBody {
		return booking.Message{}, malformed("larger than 16 KiB")
	}
	// The decoder would replace bad bytes instead of refusing them.
	if !utf8.ValidString(body) {
		return booking.Message{}, malformed("not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return booking.Message{}, malformed("not a JSON object")
	}
	var m booking.Message
	seen := make(map[string]bool, 3)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return booking.Message{}, malformed("not JSON")
		}
		key, ok := name.(string)
		if !ok || seen[key] {
			return booking.Message{}, malformed("a member twice")
		}
		seen[key] = true
		value, err := dec.Token()
		if err != nil {
			return booking.Message{}, malformed("not JSON")
		}
		if err := setMember(&m, key, value); err != nil {
			return booking.Message{}, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return booking.Message{}, malformed("not JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return booking.Message{}, malformed("trailing data")
	}
	if len(seen) != 3 {
		return booking.Message{}, malformed("a member is missing")
	}
	return m, nil
}

func setMember(m *booking.Message, key string, value json.Token) error {
	switch key {
	case "version":
		// The literal is compared: 1.0 and 1e0 are other spellings, and other senders.
		if value != json.Number(bodyVersion) {
			return malformed("version is not 1")
		}
	case "task":
		text, ok := value.(string)
		if !ok || !known(booking.Task(text)) {
			return malformed("unknown task")
		}
		m.Task = booking.Task(text)
	case "bookingId":
		literal, ok := value.(json.Number)
		if !ok {
			return malformed("bookingId is not an integer")
		}
		id, err := strconv.ParseInt(literal.String(), 10, 64)
		if err != nil || id <= 0 {
			return malformed("bookingId is not a positive int64")
		}
		m.BookingID = id
	default:
		return malformed("an unknown member")
	}
	return nil
}
