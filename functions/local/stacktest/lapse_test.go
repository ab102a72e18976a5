package stacktest

import (
	"fmt"
	"testing"
	"time"
)

// lapsed waits until the gate has given the booking's unit back.
func (b *buyer) lapsed(t testing.TB, held booking, available int64) {
	t.Helper()
	eventually(t, 15*time.Second, fmt.Sprintf("the hold of booking %d lapses", held.BookingID), func() error {
		if got := b.available(t, held.ProductID); got != available {
			return fmt.Errorf("%d units available", got)
		}
		return nil
	})
	if left := time.Until(parseTime(t, *held.HoldExpiresAt)); left > 500*time.Millisecond {
		t.Errorf("the unit was given back %v before its hold ends", left)
	}
}

func TestALapsedHoldIsSweptAway(t *testing.T) {
	t.Parallel()
	s := shortStack.get(t)
	b, paid := s.buyer(t), s.buyer(t)
	product := s.product(t, 2)
	held := b.held(t, product)
	charged := paid.approved(t, product, oneCard)
	var got booking
	eventually(t, 30*time.Second, "the sweep", func() error {
		if got = b.booking(t, held.BookingID); got.Status != "FAILED" {
			return fmt.Errorf("%s", got.Status)
		}
		return nil
	})
	if got.Failure.Code != "HOLD_EXPIRED" || got.Refund.State != "NONE" {
		t.Errorf("%+v", got)
	}
	got.next(t)
	b.approve(held.BookingID, key("ok")).problem(t, 410, "HOLD_EXPIRED")
	b.complete(held.BookingID).problem(t, 410, "HOLD_EXPIRED")
	b.cancel(held.BookingID).problem(t, 409, "INVALID_STATE", "bookingStatus")
	b.register(held.BookingID, oneCard).problem(t, 409, "INVALID_STATE", "bookingStatus")
	gone := paid.refunded(t, charged.BookingID, "FAILED", "100000.00")
	if gone.Failure.Code != "HOLD_EXPIRED" || gone.Payments[0].Status != "CANCELLED" || gone.Payments[0].Approval != "CANCELLED" {
		t.Errorf("%+v", gone)
	}
	b.free(t, product)
	b.held(t, product)
}

// A charge that never comes: the hold goes at its deadline, the attempt is given up when the gateway's session is over.
func TestAChargeThatNeverComes(t *testing.T) {
	t.Parallel()
	s := shortStack.get(t)
	for _, prefix := range []string{"timeout", "error"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			b := s.buyer(t)
			r := b.registered(t, s.product(t, 1), oneCard)
			paymentKey := key(prefix)
			b.unknown(t, r.BookingID, paymentKey)
			b.approve(r.BookingID, paymentKey).want(t, 202, 409)
			eventually(t, 30*time.Second, "the end of the hold", func() error {
				if got := b.booking(t, r.BookingID); got.Status != "FAILED" || got.Failure.Code != "HOLD_EXPIRED" {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
			b.becomes(t, r.BookingID, 60*time.Second, "FAILED", "CANCELLED", "CANCELLED")
			if got := b.booking(t, r.BookingID); got.Refund.State == "PENDING" || got.Refund.State == "STUCK" {
				t.Errorf("refund %+v of a charge that never was", got.Refund)
			}
			s.noCharge(t, r)
			b.free(t, r.ProductID)
		})
	}
}

// The money comes after the booking has died of its hold: it goes back.
func TestALateChargeOnALapsedHold(t *testing.T) {
	t.Parallel()
	s := shortStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	b.unknown(t, r.BookingID, key("late"))
	eventually(t, 60*time.Second, "the end", func() error {
		got := b.booking(t, r.BookingID)
		charges := s.charges(t, r)
		if got.Status != "FAILED" || got.Refund.State != "DONE" || len(charges) != 1 || !charges[0].Cancelled {
			return fmt.Errorf("%s, refund %+v, charges %+v", got.Status, got.Refund, charges)
		}
		return nil
	})
	b.free(t, r.ProductID)
}

func TestALapsedHoldIsTakenAgain(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t)
	b := s.buyer(t)

	r := b.registered(t, s.product(t, 1), oneCard)
	b.lapsed(t, r, 1)
	got := b.approve(r.BookingID, key("ok")).want(t, 200).booking(t)
	if got.RemainMillis < 1000 || got.RemainMillis > 3000 {
		t.Errorf("%d ms left after approve, want nearly the payment window", got.RemainMillis)
	}
	b.lapsed(t, got, 1)
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "100000.00", false)
}

func TestALapsedHoldThatSomebodyElseTook(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t)
	b, other := s.buyer(t), s.buyer(t)
	product := s.product(t, 1)

	before := b.registered(t, product, oneCard)
	b.lapsed(t, before, 1)
	taken := other.approved(t, product, oneCard)
	paymentKey, k := key("ok"), newKey()
	refused := b.approve(before.BookingID, paymentKey, k...)
	refused.problem(t, 410, "HOLD_EXPIRED")
	replayed(t, refused, b.approve(before.BookingID, paymentKey, k...))
	if got := b.booking(t, before.BookingID); got.Status != "FAILED" || got.Failure.Code != "HOLD_EXPIRED" || got.Refund.State != "NONE" {
		t.Errorf("%+v", got)
	}
	s.noCharge(t, before)

	other.lapsed(t, taken, 1)
	last := b.approved(t, product, oneCard)
	lost := other.complete(taken.BookingID, k...)
	p := lost.problem(t, 410, "HOLD_EXPIRED", "compensation")
	if string(p.members["compensation"]) != `"PENDING"` {
		t.Errorf("compensation %s", p.members["compensation"])
	}
	other.refunded(t, taken.BookingID, "FAILED", "100000.00")
	other.complete(taken.BookingID).problem(t, 410, "HOLD_EXPIRED")
	replayed(t, lost, other.complete(taken.BookingID, k...)) // told as it was at first
	b.finishes(t, last.BookingID)
}

func TestReserveClosesTheOwnLapsedBooking(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t)
	b := s.buyer(t)
	product := s.product(t, 1)
	first := b.held(t, product)
	b.lapsed(t, first, 1)
	second := b.held(t, product)
	if got := b.booking(t, first.BookingID); got.Status != "FAILED" || got.Failure.Code != "HOLD_EXPIRED" || second.BookingID == first.BookingID {
		t.Errorf("%+v", got)
	}
	b.register(second.BookingID, oneCard).want(t, 201)
	paid := b.approve(second.BookingID, key("ok")).want(t, 200).booking(t)
	b.lapsed(t, paid, 1)
	b.reserve(product).problem(t, 409, "DUPLICATE_RESERVATION", "bookingId", "holdExpiresAt", "remainMillis", "nextActions")
	b.finishes(t, second.BookingID)
}

// Approve lengthens a hold once for each payment, and never past the limit.
func TestAHoldCannotBeFarmed(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t)
	b := s.buyer(t)

	// Repeats of one charge lengthen the hold no further, whatever becomes of them.
	once := b.registered(t, s.product(t, 1), oneCard)
	paymentKey := key("error")
	first := b.unknown(t, once.BookingID, paymentKey)
	for range 3 {
		b.approve(once.BookingID, paymentKey).want(t, 202, 409)
	}
	if got := b.booking(t, once.BookingID); *got.HoldExpiresAt != *first.HoldExpiresAt || *first.HoldExpiresAt == *once.HoldExpiresAt {
		t.Errorf("the hold went from %s to %s and then to %s", *once.HoldExpiresAt, *first.HoldExpiresAt, *got.HoldExpiresAt)
	}

	held := b.held(t, s.product(t, 1))
	limit := parseTime(t, held.CreatedAt).Add(3*time.Second + 3*3*time.Second)
	eventually(t, 20*time.Second, "the limit of the hold", func() error {
		b.register(held.BookingID, oneCard).want(t, 201, 409)
		a := b.approve(held.BookingID, key("decline"))
		if a.status == 410 {
			a.problem(t, 410, "HOLD_EXPIRED")
			return nil
		}
		if a.status == 503 { // too little of the hold was left by the time at which the charge would have been sent
			a.problem(t, 503, "DEPENDENCY_UNAVAILABLE")
			return fmt.Errorf("%v", a)
		}
		a.problem(t, 402, "PAYMENT_DECLINED", "declineCode")
		if got := b.booking(t, held.BookingID); got.HoldExpiresAt != nil && parseTime(t, *got.HoldExpiresAt).After(limit) {
			t.Fatalf("the hold goes to %s, past %v", *got.HoldExpiresAt, limit)
		}
		return fmt.Errorf("%v", a)
	})
	got := b.booking(t, held.BookingID)
	extended := 0
	for _, e := range got.Timeline {
		if e.Event == "HOLD_EXTENDED" {
			extended++
		}
	}
	if extended < 1 || extended > len(got.Payments) {
		t.Errorf("%d payments lengthened the hold %d times", len(got.Payments), extended)
	}
	s.audited(t, held.ProductID)
}
