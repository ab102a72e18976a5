package stacktest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// A thousand people want ten rooms at the same moment.
func TestAThousandBuyersOnTenUnits(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	const people, units = 1000, 10
	product := s.product(t, units)
	crowd := s.buyers(t, people)
	var mu sync.Mutex
	won, confirmed := map[int64]*buyer{}, []booking{}
	began := time.Now()
	atOnce(people, func(i int) {
		b := crowd[i]
		a := b.reserve(product)
		switch {
		case a.err != nil || (a.status != 201 && a.status != 409):
			t.Errorf("%v after %v", a, a.took)
			return
		case a.status == 409:
			if !oneOf(a, []string{"SOLD_OUT"}) {
				t.Errorf("%v", a)
			}
			return
		}
		held := bookingOf(t, a.body)
		mu.Lock()
		won[held.BookingID] = b
		mu.Unlock()
		for _, step := range []func() answer{
			func() answer { return b.register(held.BookingID, pay("CARD", "100000.00")) },
			func() answer { return b.approve(held.BookingID, key("ok")) },
			func() answer { return b.complete(held.BookingID) },
		} {
			if a = step(); a.err != nil || (a.status != 200 && a.status != 201) {
				t.Errorf("%v after %v", a, a.took)
				return
			}
		}
		mu.Lock()
		confirmed = append(confirmed, bookingOf(t, a.body))
		mu.Unlock()
	})
	t.Logf("%d buyers in %v", people, time.Since(began).Round(time.Millisecond))
	if len(won) != units || len(confirmed) != units {
		t.Errorf("%d reserved and %d confirmed, want %d", len(won), len(confirmed), units)
	}
	total, remaining, rows, status := s.stock(t, product)
	if total != units || remaining != 0 || rows != units || status != "SOLD_OUT" {
		t.Errorf("total %d, remaining %d, %d CONFIRMED rows, status %s", total, remaining, rows, status)
	}
	if got := crowd[0].available(t, product); got != 0 {
		t.Errorf("the gate has %d", got)
	}
	for _, c := range confirmed {
		if c.Status != "CONFIRMED" {
			t.Errorf("%+v", c)
		}
		s.oneCharge(t, c, "100000.00", false)
	}
	var all int
	s.row(t, `SELECT count(*) FROM booking WHERE product_id = $1`, []any{product}, &all)
	if all != units {
		t.Errorf("%d booking rows, want %d: a refused buyer left one", all, units)
	}
	s.audited(t, product)
}

// Impatient fingers: each step is clicked twenty times at once, without any key.
func TestTwentyClicksOnEachStep(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "3000")
	product := s.product(t, 20)
	clicks := func(step string, call func() answer, min, max int, success int, others ...string) []answer {
		t.Helper()
		var mu sync.Mutex
		var good []answer
		atOnce(20, func(int) {
			a := call()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.err == nil && (a.status == success || a.status == 200):
				good = append(good, a)
			case a.err == nil && a.status == 409 && oneOf(a, others):
			default:
				t.Errorf("%s: %v", step, a)
			}
		})
		if len(good) < min || len(good) > max {
			t.Fatalf("%s: %d successes, want %d to %d", step, len(good), min, max)
		}
		return good
	}
	held := clicks("reserve", func() answer { return b.reserve(product) }, 1, 1, 201, "DUPLICATE_RESERVATION")[0].booking(t)
	id := held.BookingID
	set := pay("CARD", "97000") + "," + pay("POINT", "3000")
	created := 0
	for _, a := range clicks("register", func() answer { return b.register(id, set) }, 20, 20, 201) {
		if a.status == 201 {
			created++
		}
	}
	if got := b.booking(t, id); created != 1 || len(got.Payments) != 2 {
		t.Errorf("%d times 201, payments %+v", created, got.Payments)
	}
	paymentKey := key("slow-300")
	clicks("approve", func() answer { return b.approve(id, paymentKey) }, 1, 20, 200, "PAYMENT_IN_PROGRESS")
	if c := s.oneCharge(t, b.booking(t, id), "97000.00", false); c.Confirms != 1 {
		t.Errorf("%d confirms reached the gateway", c.Confirms)
	}
	clicks("complete", func() answer { return b.complete(id) }, 20, 20, 200)
	if _, remaining, confirmed, _ := s.stock(t, product); remaining != 19 || confirmed != 1 || b.points(t) != "0.00" || b.available(t, product) != 19 {
		t.Errorf("remaining %d, confirmed %d, points %s, available %d", remaining, confirmed, b.points(t), b.available(t, product))
	}
	clicks("cancel", func() answer { return b.cancel(id) }, 20, 20, 200)
	b.refunded(t, id, "CANCELLED", "97000.00")
	if _, remaining, confirmed, _ := s.stock(t, product); remaining != 20 || confirmed != 0 || b.points(t) != "3000.00" || b.available(t, product) != 20 {
		t.Errorf("after cancel: remaining %d, confirmed %d, points %s, available %d", remaining, confirmed, b.points(t), b.available(t, product))
	}
	if c := s.oneCharge(t, b.booking(t, id), "97000.00", true); c.Cancels != 1 {
		t.Errorf("%d cancels reached the gateway", c.Cancels)
	}
	s.audited(t, product)
}

// Two purchases that the points suffice for once.
func TestPointsAreSpentOnce(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "50000")
	var ids, products [2]int64
	for i := range ids {
		products[i] = s.product(t, 1)
		ids[i] = b.approved(t, products[i], pay("CARD", "50000")+","+pay("POINT", "50000")).BookingID
	}
	var answers [2]answer
	atOnce(2, func(i int) { answers[i] = b.complete(ids[i]) })
	if answers[0].status == 200 {
		answers[0], answers[1], ids[0], ids[1] = answers[1], answers[0], ids[1], ids[0]
	}
	answers[1].want(t, 200)
	if p := answers[0].problem(t, 422, "INSUFFICIENT_POINTS", "compensation"); string(p.members["compensation"]) != `"PENDING"` {
		t.Errorf("%v", answers[0])
	}
	b.refunded(t, ids[0], "FAILED", "50000.00")
	if got := b.points(t); got != "0.00" {
		t.Errorf("balance %s", got)
	}
	var sum string
	s.row(t, `SELECT coalesce(sum(delta), 0)::text FROM point_ledger WHERE user_id = $1`, []any{b.id}, &sum)
	if sum != "0.00" {
		t.Errorf("the point ledger sums up to %s", sum)
	}
	s.audited(t, products[0])
	s.audited(t, products[1])
}

// refunded waits until the booking shows its money as returned and returns it.
func (b *buyer) refunded(t testing.TB, id int64, status, amount string) booking {
	t.Helper()
	var got booking
	eventually(t, 20*time.Second, fmt.Sprintf("the refund of booking %d", id), func() error {
		got = b.booking(t, id)
		if got.Status != status || got.Refund != (refund{"DONE", amount}) {
			return fmt.Errorf("%s with refund %+v, want %s with %s DONE", got.Status, got.Refund, status, amount)
		}
		return nil
	})
	for _, p := range got.Payments {
		if p.Status == "SUCCESS" {
			t.Errorf("payment %+v of a %s booking", p, status)
		}
		if p.OrderID != nil && p.Status == "CANCELLED" && p.Approval == "APPROVED" {
			t.Errorf("payment %+v was refunded", p)
		}
	}
	b.s.oneCharge(t, got, amount, true)
	return got
}
