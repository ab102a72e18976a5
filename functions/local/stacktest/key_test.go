package stacktest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// replayed fails the test unless b is a again, byte for byte, and says so.
func replayed(t *testing.T, a, b answer) {
	t.Helper()
	if b.status != a.status || !bytes.Equal(a.body, b.body) || b.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("not a replay (Idempotency-Replayed %q):\n%v\n%v", b.header.Get("Idempotency-Replayed"), a, b)
	}
	if a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the first answer calls itself a replay: %v", a)
	}
}

func TestIdempotencyKeyOnEveryStep(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 2)
	k := func(n int) []string { return []string{"Idempotency-Key", fmt.Sprintf("walk-%d-%d", b.id, n)} }

	first := b.reserve(product, k(1)...).want(t, 201)
	again := b.reserve(product, k(1)...)
	replayed(t, first, again)
	if again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("Location %q of the replay, %q of the first", again.header.Get("Location"), first.header.Get("Location"))
	}
	id := first.booking(t).BookingID

	set := pay("CARD", "100000.00")
	registered := b.register(id, set, k(1)...).want(t, 201) // another path: the same key is another key
	replayed(t, registered, b.register(id, set, k(1)...))
	// Compared as decoded values: other blanks, the same request.
	replayed(t, registered, b.post(fmt.Sprintf("/bookings/%d/payments/register", id), "{ \"payments\" : [ {\"amount\":\"100000.00\",\"method\":\"CARD\"} ] }", k(1)...))
	b.register(id, pay("YPAY", "100000.00"), k(1)...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")

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
	// Another user's key of that name is another key.
	s.buyer(t).reserve(product, k(1)...).want(t, 201)
	s.audited(t, product)
}

func TestIdempotencyKeyKeepsRefusalsOfSomeKinds(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 1)
	id := b.held(t, product).BookingID
	k := func(n int) []string { return []string{"Idempotency-Key", fmt.Sprintf("kinds-%d-%d", b.id, n)} }

	// 409 leaves the key free: the same request under it is looked at anew.
	b.approve(id, key("ok"), k(1)...).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.complete(id, k(1)...).problem(t, 409, "PAYMENT_INCOMPLETE")

	// 422 is stored, and so is 402.
	wrong := b.register(id, pay("CARD", "1"), k(2)...)
	wrong.problem(t, 422, "AMOUNT_MISMATCH")
	replayed(t, wrong, b.register(id, pay("CARD", "1"), k(2)...))
	b.register(id, pay("CARD", "100000"), k(3)...).want(t, 201)
	declinedKey := key("decline")
	declined := b.approve(id, declinedKey, k(4)...)
	declined.problem(t, 402, "PAYMENT_DECLINED", "declineCode")
	replayed(t, declined, b.approve(id, declinedKey, k(4)...))

	b.register(id, pay("CARD", "100000"), k(5)...).want(t, 201)
	b.approve(id, key("ok"), k(6)...).want(t, 200)
	if a := b.complete(id, k(1)...).want(t, 200); a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("a 409 was stored: %v", a)
	}
	s.audited(t, product)
}

// Twenty equal requests at once have one effect, and each answer is that effect's or says that it is under way.
func TestIdempotencyKeyTwentyAtOnce(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 30)
	k := []string{"Idempotency-Key", fmt.Sprintf("storm-%d", b.id)}
	var mu sync.Mutex
	var bodies [][]byte
	once := func(step string, call func() answer, status int, also ...string) {
		t.Helper()
		bodies = nil
		atOnce(20, func(int) {
			a := call()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.err == nil && a.status == status:
				bodies = append(bodies, a.body)
			case a.err == nil && a.status == 409 && oneOf(a, append(also, "IDEMPOTENCY_IN_PROGRESS")):
				if a.header.Get("Retry-After") == "" && oneOf(a, []string{"IDEMPOTENCY_IN_PROGRESS"}) {
					t.Errorf("%s: no Retry-After: %v", step, a)
				}
			default:
				t.Errorf("%s: %v", step, a)
			}
		})
		if len(bodies) == 0 {
			t.Fatalf("%s: nobody got %d", step, status)
		}
		for _, body := range bodies {
			if !bytes.Equal(body, bodies[0]) {
				t.Errorf("%s: two bodies under one key:\n%s\n%s", step, bodies[0], body)
			}
		}
	}
	once("reserve", func() answer { return b.reserve(product, k...) }, 201, "DUPLICATE_RESERVATION")
	id := bookingOf(t, bodies[0]).BookingID
	once("register", func() answer { return b.register(id, pay("CARD", "100000"), k...) }, 201)
	paymentKey := key("slow-300")
	once("approve", func() answer { return b.approve(id, paymentKey, k...) }, 200, "PAYMENT_IN_PROGRESS")
	once("complete", func() answer { return b.complete(id, k...) }, 200)
	s.oneCharge(t, b.booking(t, id), "100000.00", false)
	once("cancel", func() answer { return b.cancel(id, k...) }, 200)
	if _, remaining, confirmed, _ := s.stock(t, product); remaining != 30 || confirmed != 0 {
		t.Errorf("remaining %d, confirmed %d", remaining, confirmed)
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
