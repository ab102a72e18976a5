package stacktest

import (
	"strings"
	"testing"

	"stayhold/shared/hold/holdtest"
)

// Somebody changes his mind while the page is still busy: whatever wins, money, unit and rows agree.
func TestCancelBesideEverything(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	t.Run("complete", func(t *testing.T) {
		t.Parallel()
		product := s.product(t, 6)
		for range 6 {
			b := s.buyer(t)
			a := b.approved(t, product, oneCard)
			var done, left answer
			atOnce(2, func(i int) {
				if i == 0 {
					done = b.complete(a.BookingID)
				} else {
					left = b.cancel(a.BookingID)
				}
			})
			left.want(t, 200)
			if done.status != 200 {
				done.problem(t, 409, "INVALID_STATE", "bookingStatus")
			}
			b.refunded(t, a.BookingID, "CANCELLED", "100000.00")
		}
		s.buyer(t).free(t, product)
	})
	t.Run("approve", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		r := b.registered(t, s.product(t, 1), oneCard)
		approved := make(chan answer)
		go func() { approved <- b.approve(r.BookingID, key("slow-1200")) }()
		b.charging(t, r.BookingID)
		b.register(r.BookingID, pay("YPAY", "100000")).problem(t, 409, "PAYMENT_IN_PROGRESS")
		b.approve(r.BookingID, key("ok")).problem(t, 409, "PAYMENT_IN_PROGRESS")
		b.complete(r.BookingID).problem(t, 409, "PAYMENT_IN_PROGRESS")
		left := b.cancel(r.BookingID).want(t, 200).booking(t)
		if left.Status != "CANCELLED" || left.Refund.State != "PENDING" {
			t.Errorf("%+v", left)
		}
		if got := b.available(t, r.ProductID); got != 1 {
			t.Errorf("%d available after the cancel", got)
		}
		if a := <-approved; a.err != nil || a.status >= 500 || a.status < 200 {
			t.Errorf("approve of a cancelled booking: %v", a)
		}
		b.refunded(t, r.BookingID, "CANCELLED", "100000.00")
		b.free(t, r.ProductID)
	})
	t.Run("sweeps", func(t *testing.T) {
		t.Parallel()
		b := s.buyer(t)
		a := b.approved(t, s.product(t, 1), oneCard)
		var answers [6]answer
		atOnce(len(answers), func(i int) {
			if i == 0 {
				answers[i] = b.complete(a.BookingID)
			} else {
				answers[i] = s.invoke("SweepFunction", `{}`)
			}
		})
		for _, a := range answers {
			if a.want(t, 200).header.Get("X-Amz-Function-Error") != "" {
				t.Errorf("%v", a)
			}
		}
		b.finishes(t, a.BookingID)
	})
}

// The last unit and ten people with the same idea, again and again.
func TestTheLastUnitGoesToOne(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	product := s.product(t, 1)
	people := s.buyers(t, 10)
	for range 10 {
		var answers [10]answer
		atOnce(len(people), func(i int) { answers[i] = people[i].reserve(product) })
		winner := -1
		for i, a := range answers {
			switch {
			case a.err == nil && a.status == 201 && winner < 0:
				winner = i
			case a.err == nil && a.status == 409 && oneOf(a, []string{"SOLD_OUT"}):
			default:
				t.Errorf("%v", a)
			}
		}
		if winner < 0 {
			t.Fatal("nobody got the last unit")
		}
		people[winner].cancel(answers[winner].booking(t).BookingID).want(t, 200)
	}
	people[0].free(t, product)
}

// The gate loses everything it knows in the middle of a sale. It learns it again from the database, once, however many ask.
func TestAnEmptiedGate(t *testing.T) {
	t.Parallel()
	s := ownStack(t)
	product := s.product(t, 10)
	sold, holder := s.buyer(t), s.buyer(t)
	sold.bought(t, product, oneCard)
	held := holder.held(t, product)
	crowd := s.buyers(t, 50)
	s.flush(t)
	if got := holder.available(t, product); got != 8 {
		t.Errorf("%d available on a cold gate, want 8 from the database", got)
	}
	answers := make([]answer, len(crowd))
	atOnce(len(crowd), func(i int) { answers[i] = crowd[i].reserve(product) })
	won := 0
	for _, a := range answers {
		switch {
		case a.err == nil && a.status == 201:
			won++
		case a.err == nil && a.status == 409 && oneOf(a, []string{"SOLD_OUT"}):
		default:
			t.Errorf("%v", a)
		}
	}
	if won != 8 {
		t.Errorf("%d of 50 got one of the 8 units left", won)
	}
	sold.reserve(product).problem(t, 409, "ALREADY_PURCHASED", "bookingId")
	holder.reserve(product).problem(t, 409, "DUPLICATE_RESERVATION", "bookingId", "holdExpiresAt", "remainMillis", "nextActions")
	s.flush(t)
	holder.register(held.BookingID, oneCard).want(t, 201)
	s.flush(t)
	holder.approve(held.BookingID, key("ok")).want(t, 200)
	s.flush(t)
	holder.complete(held.BookingID).want(t, 200)
	for i, a := range answers {
		if a.status == 201 {
			id := a.booking(t).BookingID
			crowd[i].register(id, oneCard).want(t, 201)
			crowd[i].approve(id, key("ok")).want(t, 200)
			crowd[i].complete(id).want(t, 200)
		}
	}
	if _, remaining, confirmed, _ := s.stock(t, product); remaining != 0 || confirmed != 10 {
		t.Errorf("remaining %d, confirmed %d", remaining, confirmed)
	}
	s.buyer(t).reserve(product).problem(t, 409, "SOLD_OUT")
	s.audited(t, 0)
}

// flush empties the stack's Redis, each node of it.
func (s *stack) flush(t *testing.T) {
	t.Helper()
	for url := range strings.SplitSeq(s.env["REDIS_URL"], ",") {
		if _, err := holdtest.Do(background(t), url, "FLUSHALL", "SYNC"); err != nil {
			t.Fatal(err)
		}
	}
}
