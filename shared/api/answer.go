package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// answer is an HTTP answer.
type answer struct {
	status      int
	contentType string
	location    string        // empty: none
	retryAfter  time.Duration // 0: none
	replayed    bool
	body        []byte
}

// render writes the answer in payload 2.0, headers in the order of their names.
func (a answer) render() []byte {
	to := make([]byte, 0, len(a.body)+len(a.body)/2+usualHead)
	to = strconv.AppendInt(append(to, `{"statusCode":`...), int64(a.status), 10)
	to = appendText(append(to, `,"headers":{"Cache-Control":"no-store","Content-Type":`...), a.contentType, asHTML)
	if a.replayed {
		to = append(to, `,"Idempotency-Replayed":"true"`...)
	}
	if a.location != "" {
		to = appendText(append(to, `,"Location":`...), a.location, asHTML)
	}
	if a.retryAfter > 0 {
		seconds := int64(math.Ceil(a.retryAfter.Seconds()))
		to = append(strconv.AppendInt(append(to, `,"Retry-After":"`...), seconds, 10), '"')
	}
	to = appendText(append(to, `,"X-Content-Type-Options":"nosniff"},"body":`...), a.body, asHTML)
	return append(to, `,"isBase64Encoded":false}`...)
}

// usualHead is room for all but the body.
const usualHead = 300

// jsonAnswer renders a success; what is rendered already stays as it is.
func jsonAnswer(status int, body any) (answer, error) {
	text, rendered := body.(json.RawMessage)
	var err error
	if !rendered {
		text, err = marshal(body)
	}
	return answer{status: status, contentType: "application/json", body: text}, err
}

// marshal renders without the escapes that HTML would need, and without a newline.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// statuses is the one map from kinds of errors to status codes.
var statuses = map[booking.Kind]int{
	booking.Internal:        http.StatusInternalServerError,
	booking.Invalid:         http.StatusBadRequest,
	booking.Unauthenticated: http.StatusUnauthorized,
	booking.Declined:        http.StatusPaymentRequired,
	booking.NotFound:        http.StatusNotFound,
	booking.Conflict:        http.StatusConflict,
	booking.Gone:            http.StatusGone,
	booking.TooLarge:        http.StatusRequestEntityTooLarge,
	booking.Unsupported:     http.StatusUnsupportedMediaType,
	booking.Unprocessable:   http.StatusUnprocessableEntity,
	booking.Limited:         http.StatusTooManyRequests,
	booking.Unavailable:     http.StatusServiceUnavailable,
}

// retryable says whether the same request may succeed later with nothing done but
// waiting for a moment.
func retryable(e *booking.Error) bool {
	return e.RetryAfter > 0 || e.Kind == booking.Unavailable || e.Code == booking.ErrPaymentInProgress.Code
}

// problem renders an error as problem+json (RFC 9457): its own members follow the
// common ones in the order of their names.
func problem(e *booking.Error, requestID string) answer {
	status, known := statuses[e.Kind]
	if !known || e.Kind == booking.Internal {
		status, e = http.StatusInternalServerError, booking.ErrInternal
	}
	body := make([]byte, 0, usualProblem)
	body = appendWords(append(body, `{"type":"/problems/`...), e.Code, '-')
	body = append(body, `","title":"`...)
	title := len(body)
	body = appendWords(body, e.Code, ' ')
	body[title] = e.Code[0] // SOLD_OUT is "Sold out"
	body = strconv.AppendInt(append(body, `","status":`...), int64(status), 10)
	body = appendText(append(body, `,"detail":`...), e.Detail, asJSON)
	body = appendText(append(body, `,"code":`...), e.Code, asJSON)
	body = strconv.AppendBool(append(body, `,"retryable":`...), retryable(e))
	body = appendText(append(body, `,"requestId":`...), requestID, asJSON)
	body, err := appendMembers(body, e.Members)
	if err != nil {
		// Strings, a number and a boolean always render: only a member cannot.
		return problem(booking.ErrInternal, requestID)
	}
	return answer{
		status: status, contentType: "application/problem+json", retryAfter: e.RetryAfter, body: append(body, '}'),
	}
}

// usualProblem is room for a problem with a member or two.
const usualProblem = 512

// appendWords writes a code in small letters, with a gap between its words.
func appendWords(to []byte, code string, gap byte) []byte {
	for _, c := range []byte(code) {
		switch {
		case c == '_':
			c = gap
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// appendMembers writes members behind those that an object has already.
func appendMembers(to []byte, members map[string]any) ([]byte, error) {
	names := make([]string, 0, 4)
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		to = append(appendText(append(to, ','), name, asJSON), ':')
		switch v := members[name].(type) {
		case time.Time:
			to = appendInstant(to, v)
		case int64:
			to = strconv.AppendInt(to, v, 10)
		case string:
			to = appendText(to, v, asJSON)
		default:
			text, err := marshal(plain(v))
			if err != nil {
				return nil, err
			}
			to = append(to, text...)
		}
	}
	return to, nil
}

// plain puts times, money and violations into their form on the wire, at any depth. A
// member that was stored and read back renders as it did at first.
func plain(v any) any {
	switch t := v.(type) {
	case time.Time:
		return instant(t)
	case decimal.Decimal:
		return money(t)
	case []booking.Violation:
		list := make([]map[string]any, len(t))
		for i, one := range t {
			list[i] = map[string]any{"pointer": one.Pointer, "code": one.Code}
		}
		return list
	case map[string]any:
		out := make(map[string]any, len(t))
		for name, member := range t {
			out[name] = plain(member)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, item := range t {
			out[i] = plain(item)
		}
		return out
	}
	return v
}

const milliseconds = "2006-01-02T15:04:05.000Z"

// instant is RFC 3339 in UTC with milliseconds, or nil for no time at all.
func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(milliseconds)
	return &text
}

func money(d decimal.Decimal) string { return d.StringFixed(2) }
