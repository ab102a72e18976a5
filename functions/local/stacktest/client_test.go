package stacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answer is what came back for one request.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
	what   string // the request, for messages
	err    error  // no answer at all
}

func (a answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("%s: %v", a.what, a.err)
	}
	return fmt.Sprintf("%s: %d %s", a.what, a.status, a.body)
}

// want fails the test unless the status is one of these.
func (a answer) want(t testing.TB, statuses ...int) answer {
	t.Helper()
	if a.err == nil {
		for _, s := range statuses {
			if a.status == s {
				return a
			}
		}
	}
	t.Fatalf("want %v, got %v", statuses, a)
	return a
}

// into decodes the body strictly.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
}

// send makes one request and reads its answer whole.
func send(method, url, body string, headers ...string) answer {
	a := answer{what: method + " " + url + " " + short(body)}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		a.err = err
		return a
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(req, body, a.what)
}

// do makes a request that stands ready with a body, reads its answer whole and holds it against the description.
func do(req *http.Request, body, what string) answer {
	a := answer{what: what}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer res.Body.Close()
	a.status, a.header = res.StatusCode, res.Header
	a.body, a.err = io.ReadAll(res.Body)
	a.took = time.Since(began)
	a.hold(req.Method, req.URL.EscapedPath(), body)
	return a
}

func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// buyer is a user with a token of the local stack.
type buyer struct {
	s     *stack
	id    int64
	token string
}

// nextID gives every buyer of this test binary an id of its own, above the demo's.
var nextID atomic.Int64

func (s *stack) buyer(t testing.TB) *buyer {
	t.Helper()
	return s.user(t, 1_000_000+nextID.Add(1))
}

func (s *stack) user(t testing.TB, id int64) *buyer {
	t.Helper()
	a := send("POST", s.api+"/dev/token", fmt.Sprintf(`{"userId":%d}`, id)).want(t, 200)
	var got struct{ Token string }
	a.into(t, &got)
	return &buyer{s: s, id: id, token: got.Token}
}

// buyers makes n of them, a few at a time.
func (s *stack) buyers(t testing.TB, n int) []*buyer {
	t.Helper()
	all := make([]*buyer, n)
	for i := range all {
		all[i] = s.buyer(t)
	}
	return all
}

func (b *buyer) send(method, path, body string, headers ...string) answer {
	return send(method, b.s.api+path, body, append([]string{"Authorization", "Bearer " + b.token}, headers...)...)
}

func (b *buyer) get(path string) answer { return b.send("GET", path, "") }

func (b *buyer) post(path, body string, headers ...string) answer {
	return b.send("POST", path, body, headers...)
}

func (b *buyer) reserve(product int64, headers ...string) answer {
	return b.post("/bookings/reserve", fmt.Sprintf(`{"productId":%d}`, product), headers...)
}

func (b *buyer) register(id int64, payments string, headers ...string) answer {
	return b.post(fmt.Sprintf("/bookings/%d/payments/register", id), `{"payments":[`+payments+`]}`, headers...)
}

func (b *buyer) approve(id int64, key string, headers ...string) answer {
	body := ""
	if key != "" {
		body = fmt.Sprintf(`{"paymentKey":%q}`, key)
	}
	return b.post(fmt.Sprintf("/bookings/%d/payments/pg-approve", id), body, headers...)
}

func (b *buyer) complete(id int64, headers ...string) answer {
	return b.post(fmt.Sprintf("/bookings/%d/complete", id), "", headers...)
}

func (b *buyer) cancel(id int64, headers ...string) answer {
	return b.post(fmt.Sprintf("/bookings/%d/cancel", id), "", headers...)
}

func (b *buyer) booking(t testing.TB, id int64) booking {
	t.Helper()
	return b.get(fmt.Sprintf("/bookings/%d", id)).want(t, 200).booking(t)
}

// Payments as register takes them.
func pay(method, amount string) string {
	return fmt.Sprintf(`{"method":%q,"amount":%q}`, method, amount)
}

// key gives a paymentKey with the prefix that nobody else uses.
func key(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixNano(), nextID.Add(1))
}

// held reserves a unit and returns the booking.
func (b *buyer) held(t testing.TB, product int64) booking {
	t.Helper()
	return b.reserve(product).want(t, 201).booking(t)
}

// registered reserves and registers the set.
func (b *buyer) registered(t testing.TB, product int64, payments string) booking {
	t.Helper()
	held := b.held(t, product)
	return b.register(held.BookingID, payments).want(t, 201).booking(t)
}

// approved goes on to a charge of a key with the prefix.
func (b *buyer) approved(t testing.TB, product int64, payments string) booking {
	t.Helper()
	r := b.registered(t, product, payments)
	return b.approve(r.BookingID, key("ok")).want(t, 200).booking(t)
}

// bought goes on to CONFIRMED.
func (b *buyer) bought(t testing.TB, product int64, payments string) booking {
	t.Helper()
	r := b.approved(t, product, payments)
	return b.complete(r.BookingID).want(t, 200).booking(t)
}

func decode(text []byte, v any) bool { return json.Unmarshal(text, v) == nil }
