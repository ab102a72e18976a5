package stacktest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// replayed fails the test unless b is a again, byte for byte, and says so.
func replayed(t *testing.T, a, b answer) {
	t.Helper()
	if b.status != a.status || !bytes.Equal(a.body, b.body) || b.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("not a replay (Idempotency-Replayed %q):\n%v\n%v", b.header.Get("Idempotency-Replayed"), a, b)
	}
	for _, name := range []string{"Location", "Retry-After", "Content-Type", "Cache-Control", "X-Content-Type-Options"} {
		if got, want := b.header.Values(name), a.header.Values(name); !slices.Equal(got, want) {
			t.Errorf("%s %q of the replay, %q of the first: %v", name, got, want, a)
		}
	}
	if a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the first answer calls itself a replay: %v", a)
	}
}

// newKey is an Idempotency-Key that nobody else uses, as a header.
func newKey() []string { return []string{"Idempotency-Key", key("key")} }

// kept counts the rows under the key of a header, claims too, whoever used it and wherever.
func (s *stack) kept(t testing.TB, header []string) (rows int) {
	t.Helper()
	s.row(t, `SELECT count(*) FROM idempotency_key WHERE key = $1`, []any{header[1]}, &rows)
	return rows
}

func TestIdempotencyKeyOnEveryStep(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 2)
	k := func(n int) []string { return []string{"Idempotency-Key", fmt.Sprintf("walk-%d-%d", b.id, n)} }

	first := b.reserve(product, k(1)...).want(t, 201)
	replayed(t, first, b.reserve(product, k(1)...))
	id := first.booking(t).BookingID

	set := pay("CARD", "100000.00")
	registered := b.register(id, set, k(1)...).want(t, 201) // another path: the same key is another key
	replayed(t, registered, b.register(id, set, k(1)...))
	// Compared as decoded values: other blanks, the same request.
	replayed(t, registered, b.post(fmt.Sprintf("/bookings/%d/payments/register", id), "{ \"payments\" : [ {\"amount\":\"100000.00\",\"method\":\"CARD\"} ] }", k(1)...))
	replayed(t, registered, b.register(id, pay("CARD", "100000"), k(1)...))
	replayed(t, registered, b.register(id, `{"method":"CARD","amount":100000.0}`, k(1)...))
	b.register(id, pay("YPAY", "100000.00"), k(1)...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	b.register(id, pay("CARD", "100000.01"), k(1)...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	// Whose key was used otherwise is not told what else is wrong; to have been told so is not kept.
	replayed(t, registered, b.register(id, set, k(1)...))

	paymentKey := key("ok")
	approved := b.approve(id, paymentKey, k(2)...).want(t, 200)
	replayed(t, approved, b.approve(id, paymentKey, k(2)...))
	b.approve(id, key("ok"), k(2)...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")

	done := b.complete(id, k(3)...).want(t, 200)
	replayed(t, done, b.complete(id, k(3)...))
	// No body and {} are one body; quoted and bare are one key.
	path := fmt.Sprintf("/bookings/%d/complete", id)
	replayed(t, done, b.post(path, "{}", k(3)...))
	replayed(t, done, b.complete(id, "Idempotency-Key", `"`+k(3)[1]+`"`))

	cancelled := b.cancel(id, k(4)...).want(t, 200)
	replayed(t, cancelled, b.cancel(id, k(4)...))
	// A stored success stays what it was, whatever became of the booking since.
	replayed(t, done, b.complete(id, k(3)...))
	// Another user's key of that name is another key, and so is that of another booking.
	other := s.buyer(t)
	theirs := other.reserve(product, k(1)...).want(t, 201).booking(t).BookingID
	gone := other.cancel(theirs, k(4)...).want(t, 200)
	replayed(t, gone, other.cancel(theirs, k(4)...))
	second := other.held(t, product).BookingID
	if a := other.cancel(second, k(4)...).want(t, 200); a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the answer of another booking: %v", a)
	}
	s.audited(t, product)
}

func TestIdempotencyKeyForms(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 1)
	for _, bad := range []string{"", " ", `""`, `"`, "a b", "a,b", `"a,b"`, `"abc`, `"a"b"`, "\u00e4", "a\tb", strings.Repeat("k", 256), `"` + strings.Repeat("k", 256) + `"`} {
		a := b.withKeys(t, fmt.Sprintf(`{"productId":%d}`, product), bad)
		a.problem(t, 400, "INVALID_IDEMPOTENCY_KEY")
	}
	b.withKeys(t, fmt.Sprintf(`{"productId":%d}`, product), "a", "b").problem(t, 400, "INVALID_IDEMPOTENCY_KEY")
	// The body's faults come first.
	b.withKeys(t, `{}`, "a,b").problem(t, 400, "INVALID_REQUEST", "errors")
	if got := b.available(t, product); got != 1 {
		t.Errorf("%d available: a request with a bad key held the unit", got)
	}
	for _, good := range []string{"k", "!~", `a"b`, strings.Repeat("k", 255)} {
		held := b.withKeys(t, fmt.Sprintf(`{"productId":%d}`, product), good).want(t, 201)
		replayed(t, held, b.withKeys(t, fmt.Sprintf(`{"productId":%d}`, product), good))
		if !strings.Contains(good, `"`) {
			replayed(t, held, b.withKeys(t, fmt.Sprintf(`{"productId":%d}`, product), `"`+good+`"`))
		}
		b.cancel(held.booking(t).BookingID).want(t, 200)
	}
}

// withKeys reserves with each of the keys in a header line of its own, also an empty one.
func (b *buyer) withKeys(t testing.TB, body string, keys ...string) answer {
	t.Helper()
	req, err := http.NewRequest("POST", b.s.api+"/bookings/reserve", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header["Idempotency-Key"] = keys
	return do(req, body, fmt.Sprintf("reserve with the keys %.60q", keys))
}

// One key goes through every refusal that leaves it free, each with another body, before it is used.
func TestIdempotencyKeyStaysFree(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, other := s.buyer(t), s.buyer(t)
	k := newKey()
	free := func() {
		t.Helper()
		if n := s.kept(t, k); n != 0 {
			t.Errorf("%d rows under a key that is free", n)
		}
	}
	product := s.product(t, 1)
	var held [5]booking
	for i := range held {
		held[i] = b.held(t, s.product(t, 1))
	}
	b.post("/bookings/reserve", `{}`, k...).problem(t, 400, "INVALID_REQUEST", "errors")
	b.post("/bookings/reserve", strings.Repeat("x", 17<<10), k...).problem(t, 413, "PAYLOAD_TOO_LARGE")
	b.post("/bookings/reserve", `{"productId":1}`, append(k, "Content-Type", "text/plain")...).problem(t, 415, "UNSUPPORTED_MEDIA_TYPE")
	b.reserve(999999999999, k...).problem(t, 404, "PRODUCT_NOT_FOUND")
	b.reserve(3, k...).problem(t, 409, "SALE_NOT_OPEN", "saleStartAt")
	b.reserve(5, k...).problem(t, 409, "SOLD_OUT")
	b.reserve(held[0].ProductID, k...).problem(t, 409, "DUPLICATE_RESERVATION", "bookingId", "holdExpiresAt", "remainMillis", "nextActions")
	b.reserve(product, k...).problem(t, 429, "HOLD_LIMIT")
	free()
	b.cancel(held[0].BookingID).want(t, 200)
	first := b.reserve(product, k...).want(t, 201)
	replayed(t, first, b.reserve(product, k...))
	b.reserve(3, k...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	replayed(t, first, b.reserve(product, k...))

	k = newKey()
	id := first.booking(t).BookingID
	other.approve(id, key("ok"), k...).problem(t, 404, "BOOKING_NOT_FOUND")
	b.approve(id, key("ok"), k...).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.complete(id, k...).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.register(id, oneCard).want(t, 201)
	b.approve(id, "", k...).problem(t, 400, "INVALID_REQUEST", "errors")
	free()
	// A 202 is an answer that is to be asked for again, under the same key.
	paymentKey := key("flaky")
	b.approve(id, paymentKey, k...).want(t, 202)
	var charged answer
	eventually(t, resolveWithin, "the repeat of a 202 under its key", func() error {
		if charged = b.approve(id, paymentKey, k...); charged.status == 200 {
			return nil
		}
		charged.want(t, 202, 409)
		return fmt.Errorf("%v", charged)
	})
	replayed(t, charged, b.approve(id, paymentKey, k...))
	b.complete(id, k...).want(t, 200)
	b.register(id, oneCard, k...).problem(t, 409, "INVALID_STATE", "bookingStatus")
	s.exec(t, `UPDATE booking SET check_in_at = now() WHERE id = $1`, id)
	b.cancel(id, k...).problem(t, 409, "INVALID_STATE", "bookingStatus")
	if n := s.kept(t, k); n != 2 {
		t.Errorf("%d rows under the key, want those of approve and complete", n)
	}
}

func TestIdempotencyKeyKeepsRefusalsOfSomeKinds(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "5000")
	product := s.product(t, 1)
	id := b.held(t, product).BookingID

	// Each is told again, though it would not be true any more.
	var keys [][]string
	var again []func()
	keep := func(call func(k ...string) answer, status int, code string, more ...string) {
		t.Helper()
		k := newKey()
		first := call(k...)
		first.problem(t, status, code, more...)
		keys, again = append(keys, k), append(again, func() { t.Helper(); replayed(t, first, call(k...)) })
	}
	keep(func(k ...string) answer { return b.register(id, pay("CARD", "1"), k...) }, 422, "AMOUNT_MISMATCH")
	keep(func(k ...string) answer { return b.register(id, pay("CARD", "1")+","+pay("YPAY", "1"), k...) }, 422, "METHOD_COMBINATION")
	keep(func(k ...string) answer { return b.register(id, pay("CARD", "90000")+","+pay("POINT", "10000"), k...) }, 422, "INSUFFICIENT_POINTS")
	set := pay("CARD", "95000") + "," + pay("POINT", "5000")
	b.register(id, set).want(t, 201)
	declined := key("decline")
	keep(func(k ...string) answer { return b.approve(id, declined, k...) }, 402, "PAYMENT_DECLINED", "declineCode")
	b.register(id, set).want(t, 201)
	k := newKey()
	same := b.register(id, set, k...).want(t, 200)
	again = append(again, func() { t.Helper(); replayed(t, same, b.register(id, set, k...)) })
	b.approve(id, key("ok")).want(t, 200)
	b.grant(t, "-5000")
	keep(func(k ...string) answer { return b.complete(id, k...) }, 422, "INSUFFICIENT_POINTS", "compensation")
	b.refunded(t, id, "FAILED", "95000.00")
	b.grant(t, "10000")
	for _, one := range again {
		one()
	}
	for _, k := range keys {
		if n := s.kept(t, k); n != 1 {
			t.Errorf("%d rows under a key that was used once", n)
		}
	}
	s.audited(t, product)
}

// oneOf reports whether the answer's code is one of these; it is recorded as seen.
func oneOf(a answer, codes []string) bool {
	for _, code := range codes {
		if bytes.Contains(a.body, []byte(`"code":"`+code+`"`)) {
			seenCodes.Store(code, true)
			return true
		}
	}
	return false
}
