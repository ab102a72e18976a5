package api

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"stayhold/shared/booking"
)

// event is what is read of an HTTP API event, payload 2.0. Members of another type
// than expected are left out: what then is missing decides the answer.
type event struct {
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters"`
	PathParameters map[string]string `json:"pathParameters"`
	Body           string            `json:"body"`
	Base64         bool              `json:"isBase64Encoded"`
	Context        struct {
		RequestID  string          `json:"requestId"`
		Authorizer json.RawMessage `json:"authorizer"`
	} `json:"requestContext"`
}

// decodeEvent takes what can be taken. A payload that is no event at all bears no
// identity either, and is answered so.
func decodeEvent(payload []byte) event {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		var mistyped *json.UnmarshalTypeError
		if !errors.As(err, &mistyped) {
			return event{}
		}
	}
	return e
}

// header joins every spelling of a header by commas, as repeated lines are joined
// before they get here. given says whether there was one at all.
func (e event) header(name string) (value string, given bool) {
	for k, v := range e.Headers {
		if !strings.EqualFold(k, name) {
			continue
		}
		if given {
			value += ","
		}
		value += v
		given = true
	}
	return strings.Trim(value, " \t"), given
}

// user reads the identity that the authorizer found in the token.
func (e event) user(claim string) (int64, error) {
	var authorizer struct {
		JWT struct {
			Claims map[string]json.RawMessage `json:"claims"`
		} `json:"jwt"`
	}
	if json.Unmarshal(e.Context.Authorizer, &authorizer) != nil {
		return 0, booking.ErrUnauthenticated
	}
	raw, ok := authorizer.JWT.Claims[claim]
	if !ok || string(raw) == "null" {
		return 0, booking.ErrUnauthenticated
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return 0, booking.ErrInvalidSubject
	}
	id, ok := parseID(text)
	if !ok {
		return 0, booking.ErrInvalidSubject
	}
	return id, nil
}

// pathID reads one id of the path: from the parameters, or else from the raw path,
// which may begin with the stage. template is "/bookings/{bookingId}/cancel".
func (e event) pathID(template, name string) (int64, bool) {
	text, ok := e.PathParameters[name]
	if !ok {
		text = fromPath(template, e.RawPath, name)
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return 0, false
	}
	return parseID(text)
}

// fromPath lays template and path upon each other from their ends.
func fromPath(template, path, name string) string {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	for i := range want {
		at := len(have) - len(want) + i
		if want[i] == "{"+name+"}" && at > 0 {
			return have[at]
		}
	}
	return ""
}

// query reads one parameter. Repeated ones come joined by commas and so are no number
// and no status.
func (e event) query(name string) (value string, given bool) {
	if e.Query == nil && e.RawQuery != "" {
		// Parameters that cannot be decoded are left out, as API Gateway does.
		values, _ := url.ParseQuery(e.RawQuery)
		return strings.Join(values[name], ","), values.Has(name)
	}
	value, given = e.Query[name]
	return value, given
}

// parseID reads a positive int64 in plain decimal: digits only, no leading zero.
func parseID(text string) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil
}
