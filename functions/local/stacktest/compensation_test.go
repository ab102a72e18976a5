package stacktest

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Complete fails for good after money moved: the queue brings it back, no sweep has run.
func TestTheQueueBringsTheMoneyBack(t *testing.T) {
	t.Parallel()
	s := queueStack.get(t)
	t.Run("points gone", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		b.grant(t, "3000")
		a := b.approved(t, s.product(t, 1), pay("CARD", "97000")+","+pay("POINT", "3000"))
		b.grant(t, "-1")
		b.complete(a.BookingID).problem(t, 422, "INSUFFICIENT_POINTS", "compensation")
		got := b.refunded(t, a.BookingID, "FAILED", "97000.00")
		if got.Failure.Code != "INSUFFICIENT_POINTS" || b.points(t) != "2999.00" {
			t.Errorf("failure %+v, points %s", got.Failure, b.points(t))
		}
		b.free(t, a.ProductID)
	})
	t.Run("stock gone", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		a := b.approved(t, s.product(t, 1), oneCard)
		s.adjust(t, a.ProductID, -1)
		b.complete(a.BookingID).problem(t, 409, "SOLD_OUT", "compensation")
		if got := b.refunded(t, a.BookingID, "FAILED", "100000.00"); got.Failure.Code != "SOLD_OUT" {
			t.Errorf("failure %+v", got.Failure)
		}
		b.free(t, a.ProductID)
	})
	t.Run("points gone, nothing charged", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		b.grant(t, "100000")
		r := b.registered(t, s.product(t, 1), pay("POINT", "100000"))
		b.grant(t, "-0.01")
		b.complete(r.BookingID).problem(t, 422, "INSUFFICIENT_POINTS")
		if got := b.booking(t, r.BookingID); got.Status != "FAILED" || got.Refund.State != "NONE" {
			t.Errorf("%+v", got)
		}
		b.free(t, r.ProductID)
	})
	t.Run("an answer that was lost", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		r := b.registered(t, s.product(t, 1), oneCard)
		b.unknown(t, r.BookingID, key("lost"))
		b.becomes(t, r.BookingID, resolveWithin, "PAYMENT_PENDING", "SUCCESS", "APPROVED")
		b.finishes(t, r.BookingID)
		s.oneCharge(t, r, "100000.00", false)
	})
}

func TestCancelInEveryState(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	set := pay("CARD", "97000") + "," + pay("POINT", "3000")
	for _, c := range []struct {
		name   string
		reach  func(t testing.TB, b *buyer, product int64) booking
		refund string // what goes back over the gateway
	}{
		{"INIT", func(t testing.TB, b *buyer, p int64) booking { return b.held(t, p) }, ""},
		{"INIT with a set", func(t testing.TB, b *buyer, p int64) booking { return b.registered(t, p, set) }, ""},
		{"PAYMENT_PENDING", func(t testing.TB, b *buyer, p int64) booking { return b.approved(t, p, set) }, "97000.00"},
		{"CONFIRMED", func(t testing.TB, b *buyer, p int64) booking { return b.bought(t, p, set) }, "97000.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := s.buyer(t)
			b.grant(t, "3000")
			product := s.product(t, 1)
			before := c.reach(t, b, product)
			got := b.cancel(before.BookingID).want(t, 200).booking(t)
			if got.Status != "CANCELLED" {
				t.Errorf("%+v", got)
			}
			got.next(t)
			if c.refund == "" {
				if got.Refund != (refund{"NONE", "0.00"}) {
					t.Errorf("refund %+v", got.Refund)
				}
				s.noCharge(t, before)
			} else {
				got = b.refunded(t, before.BookingID, "CANCELLED", c.refund)
				if len(got.Timeline) < 5 {
					t.Errorf("timeline %+v", got.Timeline)
				}
			}
			for _, p := range b.booking(t, before.BookingID).Payments {
				if p.Status != "CANCELLED" {
					t.Errorf("payment %+v", p)
				}
			}
			if b.points(t) != "3000.00" {
				t.Errorf("points %s", b.points(t))
			}
			b.cancel(before.BookingID).want(t, 200)
			b.complete(before.BookingID).problem(t, 409, "INVALID_STATE", "bookingStatus")
			b.approve(before.BookingID, key("ok")).problem(t, 409, "INVALID_STATE", "bookingStatus")
			b.free(t, product)
			b.held(t, product)
		})
	}
}

// Check-in is where a buyer's own cancel ends; an operator's does not, nor does leaving what was never bought.
func TestCancelAfterCheckIn(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, early := s.buyer(t), s.buyer(t)
	soon := newRoom(2)
	soon.CheckInAt = in(8 * time.Second)
	product := s.put(t, soon)
	done := b.bought(t, product, oneCard)
	open := early.held(t, product)
	eventually(t, 20*time.Second, "check-in", func() error {
		var over bool
		s.row(t, `SELECT clock_timestamp() > check_in_at FROM product WHERE id = $1`, []any{product}, &over)
		if !over {
			return errors.New("not yet")
		}
		return nil
	})
	s.buyer(t).reserve(product).problem(t, 409, "SALE_CLOSED")
	p := b.cancel(done.BookingID).problem(t, 409, "INVALID_STATE", "bookingStatus")
	if got := string(p.members["bookingStatus"]); got != `"CONFIRMED"` {
		t.Errorf("bookingStatus %s", got)
	}
	b.booking(t, done.BookingID).next(t)
	early.cancel(open.BookingID).want(t, 200)
	s.admin(t, fmt.Sprintf(`{"action":"cancel","bookingId":%d,"reason":"the house burned down"}`, done.BookingID), nil)
	b.refunded(t, done.BookingID, "CANCELLED", "100000.00")
	s.audited(t, product)
}
