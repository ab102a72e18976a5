package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// answer is an HTTP answer in payload 2.0.
type answer struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

func newAnswer(status int, contentType string, body []byte) answer {
	return answer{Status: status, Body: string(body), Headers: map[string]string{
		"Content-Type":           contentType,
		"X-Content-Type-Options": "nosniff",
		"Cache-Control":          "no-store",
	}}
}

// jsonAnswer renders a success.
func jsonAnswer(status int, body any) (answer, error) {
	text, err := marshal(body)
	return newAnswer(status, "application/json", text), err
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
	head := struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
		RequestID string `json:"requestId"`
	}{
		"/problems/" + strings.ToLower(strings.ReplaceAll(e.Code, "_", "-")), title(e.Code),
		status, e.Detail, e.Code, retryable(e), requestID,
	}
	text, err := marshal(head)
	if err == nil {
		text, err = withMembers(text, e.Members)
	}
	if err != nil {
		// Strings, a number and a boolean always render: only a member cannot.
		return problem(booking.ErrInternal, requestID)
	}
	a := newAnswer(status, "application/problem+json", text)
	a.retryAfter(e.RetryAfter)
	return a
}

// withMembers writes members at the end of an object that has some already.
func withMembers(object []byte, members map[string]any) ([]byte, error) {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		one, err := marshal(map[string]any{name: plain(members[name])})
		if err != nil {
			return nil, err
		}
		object = append(object[:len(object)-1], ',')
		object = append(object, one[1:]...)
	}
	return object, nil
}

func (a answer) retryAfter(d time.Duration) {
	if d > 0 {
		a.Headers["Retry-After"] = strconv.Itoa(int(math.Ceil(d.Seconds())))
	}
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

// instant is RFC 3339 in UTC with milliseconds, or nil for no time at all.
func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &text
}

func money(d decimal.Decimal) string { return d.StringFixed(2) }
