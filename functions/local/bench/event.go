package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Where an event names who asks, and for what: a product in a body, a booking in a path.
const (
	userMark   = "<user>"
	objectMark = "<object>"
)

// event is the sample of an HTTP API event, cut where user and object stand, so that an event for any buyer is a matter
// of copying.
type event struct {
	first string
	rest  []piece
}

// piece is what follows one number of an event.
type piece struct {
	user bool // the number is the user's, else the object's
	text string
}

// readEvent reads the sample and leaves its Idempotency-Key out, which would cost a look-up.
func readEvent(path string) (event, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return event{}, fmt.Errorf("%s is missing: run it in the folder that holds template.yaml", path)
	}
	if err != nil {
		return event{}, err
	}
	var whole map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "/bookings/1/", "/bookings/"+objectMark+"/")), &whole); err != nil {
		return event{}, fmt.Errorf("%s: %w", path, err)
	}
	at := whole
	for _, name := range []string{"requestContext", "authorizer", "jwt", "claims"} {
		inner, ok := at[name].(map[string]any)
		if !ok {
			return event{}, fmt.Errorf("%s has no %s", path, name)
		}
		at = inner
	}
	at["sub"] = userMark
	if of, ok := whole["pathParameters"].(map[string]any); ok {
		of["bookingId"] = objectMark
	} else {
		whole["body"] = `{"productId":` + objectMark + `}`
	}
	if headers, ok := whole["headers"].(map[string]any); ok {
		delete(headers, "idempotency-key")
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(whole); err != nil {
		return event{}, err
	}
	parts := strings.Split(out.String(), "<")
	e := event{first: parts[0]}
	for _, part := range parts[1:] {
		mark, text, _ := strings.Cut(part, ">")
		e.rest = append(e.rest, piece{"<"+mark+">" == userMark, text})
	}
	if len(e.rest) < 2 {
		return event{}, fmt.Errorf("%s: user and object are not where they should be", path)
	}
	return e, nil
}

// of is the event in which the user asks for the object.
func (e event) of(user, object int64) []byte {
	b := append(make([]byte, 0, 2048), e.first...)
	for _, p := range e.rest {
		n := object
		if p.user {
			n = user
		}
		b = append(strconv.AppendInt(b, n, 10), p.text...)
	}
	return b
}
