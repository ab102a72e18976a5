package stacktest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each payment set goes from a token to CONFIRMED; what every answer on the way must look like is held by booking().
func TestEveryPaymentSetBuysARoom(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	for _, set := range []struct {
		name, payments, charged, points string
	}{
		{"CARD", pay("CARD", "100000"), "100000.00", "0.00"},
		{"YPAY", pay("YPAY", "100000.0"), "100000.00", "0.00"},
		{"POINT", pay("POINT", "100000.00"), "", "100000.00"},
		{"CARD and POINT", pay("CARD", "97000.00") + "," + pay("POINT", "3000"), "97000.00", "3000.00"},
		{"YPAY and POINT", `{"method":"POINT","amount":3000.5},{"method":"YPAY","amount":96999.50}`, "96999.50", "3000.50"},
	} {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			id := s.product(t, 3)
			b := s.buyer(t)
			b.grant(t, "100000")
			w := &walk{s: s, b: b, product: id, payments: set.payments, charged: set.charged}
			w.reserve(t)
			w.register(t)
			w.approve(t)
			w.complete(t)
			if got, want := b.points(t), map[string]string{"0.00": "100000.00", "100000.00": "0.00", "3000.00": "97000.00", "3000.50": "96999.50"}[set.points]; got != want {
				t.Errorf("balance %s after the purchase, want %s", got, want)
			}
			total, remaining, confirmed, _ := s.stock(t, id)
			if total != 3 || remaining != 2 || confirmed != 1 || b.available(t, id) != 2 {
				t.Errorf("total %d, remaining %d, confirmed %d, available %d", total, remaining, confirmed, b.available(t, id))
			}
			s.audited(t, id)
		})
	}
}

// walk is one purchase, step by step.
type walk struct {
	s                 *stack
	b                 *buyer
	product           int64
	payments, charged string // charged is empty when nothing goes to the gateway
	booking           booking
}

func (w *walk) id() int64 { return w.booking.BookingID }

func (w *walk) reserve(t *testing.T) {
	t.Helper()
	a := w.b.reserve(w.product).want(t, 201)
	w.booking = a.booking(t)
	g := w.booking
	if got, want := a.header.Get("Location"), fmt.Sprintf("/bookings/%d", g.BookingID); !strings.HasSuffix(got, want) {
		t.Errorf("Location %q, want %s", got, want)
	}
	if g.ProductID != w.product || g.UserID != w.b.id || g.Status != "INIT" || g.TotalAmount != "100000.00" ||
		len(g.Payments) != 0 || g.Refund != (refund{"NONE", "0.00"}) || g.Failure != nil {
		t.Errorf("%v", a)
	}
	if g.RemainMillis < 295_000 || g.RemainMillis > 300_000 {
		t.Errorf("%d ms remain of 300 s", g.RemainMillis)
	}
	if left := time.Until(parseTime(t, *g.HoldExpiresAt)); left < 290*time.Second || left > 301*time.Second {
		t.Errorf("the hold expires in %v", left)
	}
	g.next(t, "register", "cancel")
	if got := w.b.available(t, w.product); got != 2 {
		t.Errorf("available %d beside one hold on 3 units", got)
	}
}

func (w *walk) register(t *testing.T) {
	t.Helper()
	a := w.b.register(w.id(), w.payments).want(t, 201)
	w.booking = a.booking(t)
	if want := strings.Count(w.payments, "method"); len(w.booking.Payments) != want {
		t.Fatalf("want %d payments: %v", want, a)
	}
	for _, p := range w.booking.Payments {
		if p.Status != "READY" || p.Approval != "NONE" {
			t.Errorf("payment %+v", p)
		}
	}
	if w.charged == "" {
		if w.booking.Status != "PAYMENT_PENDING" {
			t.Errorf("status %s after points alone", w.booking.Status)
		}
	} else {
		if w.booking.Status != "INIT" {
			t.Errorf("status %s after register", w.booking.Status)
		}
		w.booking.next(t, "register", "pg-approve", "cancel")
	}
	again := w.b.register(w.id(), w.payments).want(t, 200).booking(t)
	if fmt.Sprint(again.Payments) == "" || len(again.Payments) != len(w.booking.Payments) || again.Payments[0].PaymentID != w.booking.Payments[0].PaymentID {
		t.Errorf("the same set again: %+v, want the rows of %+v", again.Payments, w.booking.Payments)
	}
}

func (w *walk) approve(t *testing.T) {
	t.Helper()
	paymentKey := ""
	if w.charged != "" {
		paymentKey = key("ok")
	}
	a := w.b.approve(w.id(), paymentKey).want(t, 200)
	w.booking = a.booking(t)
	if w.booking.Status != "PAYMENT_PENDING" {
		t.Errorf("status after approve: %v", a)
	}
	w.booking.next(t, actionsBeforeComplete(w.charged)...)
	if w.charged == "" {
		return
	}
	for _, p := range w.booking.Payments {
		if p.Method != "POINT" && (p.Status != "SUCCESS" || p.Approval != "APPROVED") {
			t.Errorf("payment %+v", p)
		}
	}
	w.b.approve(w.id(), paymentKey).want(t, 200)
	if c := w.s.oneCharge(t, w.booking, w.charged, false); c.PaymentKey != paymentKey || c.Confirms != 1 {
		t.Errorf("charge %+v, want one confirm of %s", c, paymentKey)
	}
}

// actionsBeforeComplete: a set of points alone may still be replaced.
func actionsBeforeComplete(charged string) []string {
	if charged == "" {
		return []string{"register", "complete", "cancel"}
	}
	return []string{"complete", "cancel"}
}

func (w *walk) complete(t *testing.T) {
	t.Helper()
	a := w.b.complete(w.id()).want(t, 200)
	w.booking = a.booking(t)
	if w.booking.Status != "CONFIRMED" || w.booking.Refund.State != "NONE" || strings.Contains(string(a.body), "timeline") {
		t.Errorf("%v", a)
	}
	w.booking.next(t, "cancel")
	for _, p := range w.booking.Payments {
		if p.Status != "SUCCESS" {
			t.Errorf("payment %+v of a CONFIRMED booking", p)
		}
	}
	if again := w.b.complete(w.id()).want(t, 200).booking(t); again.Status != "CONFIRMED" {
		t.Errorf("complete again: %+v", again)
	}
	seen := w.b.booking(t, w.id())
	if seen.Status != "CONFIRMED" || len(seen.Timeline) < 3 {
		t.Errorf("GET: %+v", seen)
	}
	if w.charged != "" {
		w.s.oneCharge(t, w.booking, w.charged, false)
	} else {
		w.s.noCharge(t, w.booking)
	}
	w.b.reserve(w.product).problem(t, 409, "ALREADY_PURCHASED", "bookingId")
}

func TestRegisterReplacesTheSet(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "100000")
	id := b.held(t, s.product(t, 1)).BookingID

	card := b.register(id, pay("CARD", "100000")).want(t, 201).booking(t)
	points := b.register(id, pay("POINT", "100000")).want(t, 201).booking(t)
	if points.Status != "PAYMENT_PENDING" || len(points.Payments) != 2 || points.Payments[0].Status != "CANCELLED" || points.Payments[0].PaymentID != card.Payments[0].PaymentID {
		t.Errorf("points after card: %+v", points)
	}
	back := b.register(id, pay("YPAY", "100000")).want(t, 201).booking(t)
	if back.Status != "INIT" || len(back.Payments) != 3 || back.Payments[1].Status != "CANCELLED" || *back.Payments[2].OrderID == *card.Payments[0].OrderID {
		t.Errorf("ypay after points: %+v", back)
	}
	b.complete(id).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.approve(id, key("ok")).want(t, 200)
	done := b.complete(id).want(t, 200).booking(t)
	s.oneCharge(t, done, "100000.00", false)
	if got := b.points(t); got != "100000.00" {
		t.Errorf("balance %s: the points of a replaced set were taken", got)
	}
	s.audited(t, done.ProductID)
}

// The price is the booking's from reserve on, and a product made INACTIVE goes on for who is in already.
func TestProductChangesDoNotReachAnOpenBooking(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, late := s.buyer(t), s.buyer(t)
	id := s.product(t, 2)
	held := b.held(t, id)

	changed := newRoom(0)
	changed.ProductID, changed.Stock, changed.Price, changed.Status = id, nil, "1.00", "INACTIVE"
	s.put(t, changed)
	late.reserve(id).problem(t, 404, "PRODUCT_NOT_FOUND")
	late.get(fmt.Sprintf("/products/%d", id)).problem(t, 404, "PRODUCT_NOT_FOUND")
	if got := b.register(held.BookingID, pay("CARD", "100000.00")).want(t, 201).booking(t); got.TotalAmount != "100000.00" {
		t.Errorf("the price changed under the booking: %+v", got)
	}
	b.approve(held.BookingID, key("ok")).want(t, 200)
	b.complete(held.BookingID).want(t, 200)
	s.audited(t, id)
}
