package stacktest

import (
	"fmt"
	"testing"
	"time"
)

// unknown approves with a key whose answer does not come, and holds the 202 against the contract.
func (b *buyer) unknown(t testing.TB, id int64, paymentKey string) booking {
	t.Helper()
	a := b.approve(id, paymentKey).want(t, 202)
	if a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", a)
	}
	got := a.booking(t)
	if p := got.Payments[len(got.Payments)-1]; got.Status != "INIT" || p.Status != "READY" || p.Approval != "UNKNOWN" {
		t.Errorf("a 202 with %s and payment %+v", got.Status, p)
	}
	return got
}

// becomes waits until the booking's last payment has this status and approval.
func (b *buyer) becomes(t testing.TB, id int64, within time.Duration, state, payment, approval string) booking {
	t.Helper()
	var got booking
	eventually(t, within, fmt.Sprintf("booking %d", id), func() error {
		got = b.booking(t, id)
		if p := got.Payments[len(got.Payments)-1]; got.Status != state || p.Status != payment || p.Approval != approval {
			return fmt.Errorf("%s with payment %s %s, want %s with %s %s", got.Status, p.Status, p.Approval, state, payment, approval)
		}
		return nil
	})
	return got
}

// finishes completes the booking and holds ledger, rows and gate against each other.
func (b *buyer) finishes(t testing.TB, id int64) {
	t.Helper()
	done := b.complete(id).want(t, 200).booking(t)
	total, remaining, confirmed, _ := b.s.stock(t, done.ProductID)
	if available := b.available(t, done.ProductID); done.Status != "CONFIRMED" || remaining != total-confirmed || available != remaining {
		t.Errorf("%s, total %d, remaining %d, confirmed %d, available %d", done.Status, total, remaining, confirmed, available)
	}
	b.s.audited(t, done.ProductID)
}

// free fails the test unless all units of the product are unsold and unheld, in rows and gate.
func (b *buyer) free(t testing.TB, product int64) {
	t.Helper()
	total, remaining, confirmed, _ := b.s.stock(t, product)
	if available := b.available(t, product); remaining != total || confirmed != 0 || available != total {
		t.Errorf("total %d, remaining %d, confirmed %d, available %d: want all free", total, remaining, confirmed, available)
	}
	b.s.audited(t, product)
}

const oneCard = `{"method":"CARD","amount":"100000.00"}`

func TestADeclinedCardMayBeReplaced(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "3000")
	product := s.product(t, 1)
	r := b.registered(t, product, pay("CARD", "97000")+","+pay("POINT", "3000"))
	p := b.approve(r.BookingID, key("decline")).problem(t, 402, "PAYMENT_DECLINED", "declineCode")
	if got := string(p.members["declineCode"]); got != `"REJECT_CARD_PAYMENT"` {
		t.Errorf("declineCode %s", got)
	}
	got := b.booking(t, r.BookingID)
	card, point := got.Payments[0], got.Payments[1]
	if card.Method != "CARD" {
		card, point = point, card
	}
	if got.Status != "INIT" || got.HoldExpiresAt == nil || card.Status != "FAILED" || card.Approval != "DECLINED" || point.Status != "CANCELLED" {
		t.Errorf("after the decline: %+v", got)
	}
	got.next(t, "register", "cancel")
	s.noCharge(t, got)
	b.approve(r.BookingID, key("ok")).problem(t, 409, "PAYMENT_INCOMPLETE")
	again := b.register(r.BookingID, pay("YPAY", "100000")).want(t, 201).booking(t)
	if len(again.Payments) != 3 || *again.Payments[2].OrderID == *card.OrderID {
		t.Errorf("a new try under the old order id: %+v", again.Payments)
	}
	b.approve(r.BookingID, key("ok")).want(t, 200)
	b.finishes(t, r.BookingID)
	s.oneCharge(t, b.booking(t, r.BookingID), "100000.00", false)
}

func TestALostAnswerIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey := key("lost")
	b.unknown(t, r.BookingID, paymentKey)
	// Whoever asks meanwhile is told, unless the answer is in by then.
	if a := b.approve(r.BookingID, key("ok")); a.status != 200 {
		a.problem(t, 409, "PAYMENT_IN_PROGRESS")
	}
	b.becomes(t, r.BookingID, 40*time.Second, "PAYMENT_PENDING", "SUCCESS", "APPROVED")
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "100000.00", false)
}

func TestALostAnswerIsFoundByTheBuyer(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey := key("lost")
	b.unknown(t, r.BookingID, paymentKey)
	eventually(t, resolveWithin, "the answer to the buyer's own repeat", func() error {
		a := b.approve(r.BookingID, paymentKey)
		if a.status == 200 {
			return nil
		}
		// Somebody looks it up at this moment.
		a.problem(t, 409, "PAYMENT_IN_PROGRESS")
		return fmt.Errorf("%v", a)
	})
	if got := b.booking(t, r.BookingID); got.Status != "PAYMENT_PENDING" {
		t.Errorf("%+v", got)
	}
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "100000.00", false)
}

func TestALateChargeIsFound(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, quitter := s.buyer(t), s.buyer(t)
	product := s.product(t, 2)
	r, q := b.registered(t, product, oneCard), quitter.registered(t, product, oneCard)
	b.unknown(t, r.BookingID, key("late"))
	quitter.unknown(t, q.BookingID, key("late"))
	// The unit of who leaves is free at once; his money follows when it turns up.
	left := quitter.cancel(q.BookingID).want(t, 200).booking(t)
	if left.Status != "CANCELLED" || left.Refund.State != "PENDING" {
		t.Errorf("cancelled with an unknown charge: %+v", left)
	}
	if got := b.available(t, product); got != 1 {
		t.Errorf("available %d beside one hold on 2 units", got)
	}
	b.becomes(t, r.BookingID, 60*time.Second, "PAYMENT_PENDING", "SUCCESS", "APPROVED")
	b.complete(r.BookingID).want(t, 200)
	s.oneCharge(t, r, "100000.00", false)
	eventually(t, 60*time.Second, "the late money's way back", func() error {
		if got := quitter.booking(t, q.BookingID); got.Refund != (refund{"DONE", "100000.00"}) {
			return fmt.Errorf("refund %+v", got.Refund)
		}
		return nil
	})
	s.oneCharge(t, q, "100000.00", true)
	s.audited(t, product)
}

func TestAGatewayThatFailsOnceIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey := key("flaky")
	b.unknown(t, r.BookingID, paymentKey)
	b.complete(r.BookingID).problem(t, 409, "PAYMENT_IN_PROGRESS")
	b.register(r.BookingID, pay("YPAY", "100000")).problem(t, 409, "PAYMENT_IN_PROGRESS")
	eventually(t, resolveWithin, "the second try", func() error {
		a := b.approve(r.BookingID, paymentKey)
		if a.status == 200 {
			return nil
		}
		a.want(t, 202, 409)
		return fmt.Errorf("%v", a)
	})
	b.finishes(t, r.BookingID)
	if c := s.oneCharge(t, r, "100000.00", false); c.Confirms != 2 {
		t.Errorf("%d confirms", c.Confirms)
	}
}

func TestASlowGateway(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, patient := s.buyer(t), s.buyer(t)
	product := s.product(t, 2)
	quick := b.registered(t, product, oneCard)
	a := b.approve(quick.BookingID, key("slow-700")).want(t, 200)
	if a.took < 700*time.Millisecond {
		t.Errorf("answered after %v", a.took)
	}
	b.complete(quick.BookingID).want(t, 200)

	slow := patient.registered(t, product, oneCard)
	paymentKey := key("slow-4000")
	patient.unknown(t, slow.BookingID, paymentKey)
	eventually(t, 30*time.Second, "the slow charge", func() error {
		if a := patient.approve(slow.BookingID, paymentKey); a.status != 200 {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	patient.finishes(t, slow.BookingID)
	s.oneCharge(t, quick, "100000.00", false)
	s.oneCharge(t, slow, "100000.00", false)
}

func TestAnotherAmountGoesBack(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	if a := b.approve(r.BookingID, key("mismatch")); a.status == 200 || a.err != nil || a.status >= 500 {
		t.Errorf("a charge of another amount: %v", a)
	}
	eventually(t, 40*time.Second, "the wrong amount's way back", func() error {
		got := b.booking(t, r.BookingID)
		charges := s.charges(t, got)
		if got.Payments[0].Status != "FAILED" || got.Refund.State != "DONE" || len(charges) != 1 || !charges[0].Cancelled {
			return fmt.Errorf("payment %+v, refund %+v, charges %+v", got.Payments[0], got.Refund, charges)
		}
		return nil
	})
	// The hold is still his: with another card he gets the room.
	b.register(r.BookingID, oneCard).want(t, 201)
	b.approve(r.BookingID, key("ok")).want(t, 200)
	b.finishes(t, r.BookingID)
	if all := s.charges(t, b.booking(t, r.BookingID)); len(all) != 2 || !all[0].Cancelled || all[1].Cancelled {
		t.Errorf("charges %+v", all)
	}
}

func TestARefundThatFailsAtFirst(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	b.approve(r.BookingID, key("slowcancel-2")).want(t, 200)
	b.complete(r.BookingID).want(t, 200)
	b.cancel(r.BookingID).want(t, 200)
	eventually(t, 75*time.Second, "a refund at the third try", func() error {
		if got := b.booking(t, r.BookingID); got.Refund != (refund{"DONE", "100000.00"}) {
			return fmt.Errorf("refund %+v", got.Refund)
		}
		return nil
	})
	if c := s.oneCharge(t, r, "100000.00", true); c.Cancels < 3 {
		t.Errorf("%d cancels, want 3", c.Cancels)
	}
	b.free(t, r.ProductID)
}

func TestARefundThatIsStuckIsSeen(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	b.approve(r.BookingID, key("stuckcancel")).want(t, 200)
	b.complete(r.BookingID).want(t, 200)
	left := b.cancel(r.BookingID).want(t, 200).booking(t)
	if left.Refund != (refund{"PENDING", "100000.00"}) {
		t.Errorf("refund %+v", left.Refund)
	}
	// The unit never waits for the money.
	if got := b.available(t, r.ProductID); got != 1 {
		t.Errorf("available %d after the cancel", got)
	}
	eventually(t, 75*time.Second, "the stuck refund", func() error {
		got := b.booking(t, r.BookingID)
		if got.Status != "CANCELLED" || got.Refund.State != "STUCK" || got.Payments[0].Approval != "CANCEL_FAILED" {
			return fmt.Errorf("refund %+v, payment %+v", got.Refund, got.Payments[0])
		}
		return nil
	})
	s.oneCharge(t, r, "100000.00", false)
}

// resolveWithin is how long the queue may take to find out about a charge whose answer was lost.
const resolveWithin = 40 * time.Second
