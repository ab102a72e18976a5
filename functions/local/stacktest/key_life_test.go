package stacktest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// A hundred equal requests at once have one effect and one stored answer, which everybody gets who does not come while it
// is made.
func TestIdempotencyKeyAHundredAtOnce(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 30)
	k := newKey()
	once := func(step string, status int, runs bool, call func() answer) answer {
		t.Helper()
		var mu sync.Mutex
		var first, replays []answer
		before := s.kept(t, k)
		atOnce(100, func(int) {
			a := call()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.err == nil && a.status == status && a.header.Get("Idempotency-Replayed") == "":
				first = append(first, a)
			case a.err == nil && a.status == status:
				replays = append(replays, a)
			case runs && a.err == nil && oneOf(a, []string{"IDEMPOTENCY_IN_PROGRESS"}):
				if a.status != 409 || a.header.Get("Retry-After") == "" {
					t.Errorf("%s: no 409 with Retry-After: %v", step, a)
				}
			default:
				t.Errorf("%s: %v", step, a)
			}
		})
		if len(first) != 1 {
			t.Fatalf("%s: %d answers of its own, want 1", step, len(first))
		}
		for _, a := range append(replays, call()) {
			replayed(t, first[0], a)
		}
		if n := s.kept(t, k) - before; n != 1 {
			t.Errorf("%s: %d answers are stored", step, n)
		}
		t.Logf("%s: %d of 100 were replays", step, len(replays))
		return first[0]
	}
	id := once("reserve", 201, false, func() answer { return b.reserve(product, k...) }).booking(t).BookingID
	if got := b.available(t, product); got != 29 {
		t.Errorf("%d available after one reserve", got)
	}
	once("register", 201, false, func() answer { return b.register(id, oneCard, k...) })
	if got := b.booking(t, id); len(got.Payments) != 1 {
		t.Errorf("payments %+v", got.Payments)
	}
	paymentKey := key("slow-300")
	once("approve", 200, true, func() answer { return b.approve(id, paymentKey, k...) })
	once("complete", 200, false, func() answer { return b.complete(id, k...) })
	if c := s.oneCharge(t, b.booking(t, id), "100000.00", false); c.Confirms != 1 {
		t.Errorf("%d confirms reached the gateway", c.Confirms)
	}
	if _, remaining, confirmed, _ := s.stock(t, product); remaining != 29 || confirmed != 1 {
		t.Errorf("remaining %d, confirmed %d", remaining, confirmed)
	}
	once("cancel", 200, false, func() answer { return b.cancel(id, k...) })
	b.refunded(t, id, "CANCELLED", "100000.00")
	if c := s.oneCharge(t, b.booking(t, id), "100000.00", true); c.Cancels != 1 {
		t.Errorf("%d cancels reached the gateway", c.Cancels)
	}
	b.free(t, product)
}

// While a charge is under way its key answers for it: to the same body that it runs, to another that the key is used.
func TestIdempotencyKeyInProgress(t *testing.T) {
	t.Parallel()
	s := bringYourOwn(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey, k := key("ok"), newKey()
	goOn := s.hang()
	defer goOn()
	answered := make(chan answer, 1)
	go func() { answered <- b.approve(r.BookingID, paymentKey, k...) }()
	b.charging(t, r.BookingID)
	a := b.approve(r.BookingID, paymentKey, k...)
	a.problem(t, 409, "IDEMPOTENCY_IN_PROGRESS")
	if a.header.Get("Retry-After") == "" || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("headers %v: %v", a.header, a)
	}
	b.approve(r.BookingID, key("ok"), k...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	b.approve(r.BookingID, paymentKey, newKey()...).problem(t, 409, "PAYMENT_IN_PROGRESS")
	b.cancel(r.BookingID+1_000_000, k...).problem(t, 404, "BOOKING_NOT_FOUND")
	goOn()
	charged := (<-answered).want(t, 200)
	replayed(t, charged, b.approve(r.BookingID, paymentKey, k...))
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "100000.00", false)
}

// A key is kept for a day: so long its answer comes again, and then it may be used for anything, swept or not.
func TestIdempotencyKeyExpires(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t) // which sweeps no row away
	b := s.buyer(t)
	id, k := b.held(t, s.product(t, 1)).BookingID, newKey()
	age := func(by string) {
		t.Helper()
		s.exec(t, `UPDATE idempotency_key SET created_at = created_at - $2::text::interval WHERE key = $1`, k[1], by)
	}
	card, ypay := oneCard, pay("YPAY", "100000")
	first := b.register(id, card, k...).want(t, 201)
	age("23 hours 50 minutes")
	replayed(t, first, b.register(id, card, k...))
	b.register(id, ypay, k...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	age("10 minutes")
	second := b.register(id, ypay, k...).want(t, 201)
	replayed(t, second, b.register(id, ypay, k...))
	b.register(id, card, k...).problem(t, 422, "IDEMPOTENCY_KEY_REUSED")
	age("24 hours")
	// The same body is a new request too: the set is there already.
	third := b.register(id, ypay, k...).want(t, 200)
	replayed(t, third, b.register(id, ypay, k...))
	if n := s.kept(t, k); n != 1 {
		t.Errorf("%d rows under the key", n)
	}
}

// The sweep removes what has expired, however much it is, and nothing else.
func TestExpiredIdempotencyKeysAreSweptAway(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 1)
	young := newKey()
	first := b.reserve(product, young...).want(t, 201)
	s.exec(t, `UPDATE idempotency_key SET created_at = created_at - interval '23 hours 50 minutes' WHERE key = $1`, young[1])
	const many = 12_000
	old := newKey()
	s.exec(t, `INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome, created_at)
		SELECT $1, 'POST /bookings/' || n || '/cancel', $2, 'f', 'r', '{}', now() - interval '24 hours 1 second' FROM generate_series(1, $3::int) AS n`,
		b.id, old[1], many)
	eventually(t, 40*time.Second, fmt.Sprintf("%d expired keys", many), func() error {
		if n := s.kept(t, old); n != 0 {
			return fmt.Errorf("%d are still there", n)
		}
		return nil
	})
	replayed(t, first, b.reserve(product, young...))
}
