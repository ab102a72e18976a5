package booking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// watched is a gateway that lets a test look around while money is on its way back.
type watched struct {
	booking.Gateway
	cancelling func()
}

func (g watched) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	g.cancelling()
	return g.Gateway.Cancel(ctx, c, reason)
}

func TestMoneyGoesBackOnlyFromADeadBooking(t *testing.T) {
	for name, end := range map[string]func(*world, booking.Booking){
		"the points are gone": func(w *world, b booking.Booking) {
			w.grant(b.UserID, "-1000")
			if _, err := w.complete(b); !errors.Is(err, booking.ErrInsufficientPoints) {
				w.t.Errorf("complete: %v", err)
			}
			w.grant(b.UserID, "1000")
		},
		"cancelled": func(w *world, b booking.Booking) {
			if _, err := w.cancel(b); err != nil {
				w.t.Error(err)
			}
		},
		"lapsed": func(w *world, b booking.Booking) {
			w.stage.lapse(b)
			w.sweep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.grant(7, "1000")
			b := w.register(w.reserve(7, w.product(1)), both("1000", booking.Card, "99000"))
			if _, err := w.approve(b, "ok-1"); err != nil {
				t.Fatal(err)
			}
			cancels := 0
			w.gateway = watched{w.gateway, func() {
				cancels++
				if got := w.read(b); !got.Status.Dead() {
					t.Errorf("the booking is %s while its money goes back", got.Status)
				}
				if _, err := w.complete(b); err == nil {
					t.Error("it was sold meanwhile")
				}
			}}
			end(w, b)
			w.deliver()
			if cancels != 1 {
				t.Errorf("%d cancels", cancels)
			}
			w.wantNet("0.00")
			w.wantSound()
		})
	}
}

func TestCompleteLooksAtThePaymentItself(t *testing.T) {
	w := newWorld(t)
	product := w.product(4)
	w.grant(7, "100000")
	wantIncomplete := func(what string, b booking.Booking) {
		t.Helper()
		if _, err := w.complete(b); !errors.Is(err, booking.ErrPaymentIncomplete) {
			t.Errorf("%s: complete: %v", what, err)
		}
	}

	wantIncomplete("nothing is registered", w.reserve(6, product))

	replaced := w.register(w.register(w.reserve(7, product), points("100000")), card("100000"))
	wantIncomplete("points, then a card that nobody charged", replaced)

	early := w.register(w.reserve(8, product), card("100000"))
	w.exec(`UPDATE booking SET status = 'PAYMENT_PENDING' WHERE id = $1`, early.ID)
	wantIncomplete("PAYMENT_PENDING without a charge", early)

	returned := w.register(w.reserve(9, product), card("100000"))
	if _, err := w.approve(returned, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.exec(`SELECT command_refund(id, amount) FROM payment WHERE booking_id = $1`, returned.ID)
	wantIncomplete("a charge that has been told to go back", returned)
}

// meanwhile is a gate that lets something happen before it answers an ensure.
type meanwhile struct {
	booking.Gate
	ensuring func()
}

func (g meanwhile) Ensure(ctx context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	g.ensuring()
	return g.Gate.Ensure(ctx, h, deadline)
}

// TestSoldWhileAnotherGivesUp has one complete find the hold lost, and another one,
// which was in time, confirm before the first can give up.
func TestSoldWhileAnotherGivesUp(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.register(w.reserve(7, product), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.stage.lapse(b)
	w.reserve(8, product)
	w.gatePort = meanwhile{w.gate, func() {
		_, err := w.store.Complete(t.Context(), booking.Completion{UserID: 7, BookingID: b.ID, Held: time.Now().Add(time.Minute)})
		if err != nil {
			t.Error(err)
		}
	}}
	r, err := w.complete(b)
	if err != nil || r.Booking.Status != booking.Confirmed {
		t.Errorf("complete: %v, %s", err, r.Booking.Status)
	}
	w.deliver()
	w.wantStatus(b, booking.Confirmed, booking.PaymentSuccess)
	w.wantNet("100000.00")
}

func TestEveryUnitIsCounted(t *testing.T) {
	w := newWorld(t)
	product := w.product(8)
	runs := make([]func(*world) error, 4)
	for i := range runs {
		user := int64(100 + i)
		w.grant(user, "100000")
		b := w.register(w.reserve(user, product), points("100000"))
		runs[i] = func(w *world) error {
			_, err := w.complete(b)
			return err
		}
	}
	errs := w.collide(`SELECT FROM product WHERE id = $1 FOR UPDATE`, product, runs...)
	if count(errs, nil) != len(runs) {
		t.Errorf("complete: %v", errs)
	}
	if p, err := w.store.Product(t.Context(), product); err != nil || p.Remaining != 4 {
		t.Errorf("%d of 8 units remain after 4 sales: %v", p.Remaining, err)
	}
	w.wantSound()
}

func TestForgedMessageChangesNothing(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	w.grant(9, "100000")
	held := w.reserve(7, product)
	paid := w.register(w.reserve(8, product), card("100000"))
	if _, err := w.approve(paid, "ok-1"); err != nil {
		t.Fatal(err)
	}
	sold := w.register(w.reserve(9, product), points("100000"))
	if _, err := w.complete(sold); err != nil {
		t.Fatal(err)
	}
	before := map[int64]int{}
	for _, b := range []booking.Booking{held, paid, sold} {
		before[b.ID] = len(w.read(b).Timeline)
	}
	for _, task := range []booking.Task{booking.TaskCompensate, booking.TaskResolve} {
		for _, id := range []int64{held.ID, paid.ID, sold.ID, paid.ID, 424242} {
			if err := w.compensateStep().Run(t.Context(), booking.Message{Task: task, BookingID: id}); err != nil {
				t.Errorf("%s of %d: %v", task, id, err)
			}
		}
	}
	w.wantStatus(held, booking.Init)
	w.wantStatus(paid, booking.PaymentPending, booking.PaymentSuccess)
	w.wantStatus(sold, booking.Confirmed, booking.PaymentSuccess)
	for _, b := range []booking.Booking{held, paid, sold} {
		if got := w.read(b).Timeline; len(got) != before[b.ID] {
			t.Errorf("booking %d: %v", b.ID, got)
		}
	}
	w.wantNet("100000.00")
	w.wantAvailable(product, 0)
	w.wantSound()
}

// TestFailingCompletesAtOnce gives each of eighteen failing completes one connection,
// in which it has to give up as well.
func TestFailingCompletesAtOnce(t *testing.T) {
	w := newWorld(t)
	product := w.product(18)
	bookings := make([]booking.Booking, 18)
	for i := range bookings {
		user := int64(100 + i)
		w.grant(user, "1000")
		bookings[i] = w.register(w.reserve(user, product), both("1000", booking.Card, "99000"))
		if _, err := w.approve(bookings[i], "ok-"+bookings[i].HoldToken); err != nil {
			t.Fatal(err)
		}
		w.grant(user, "-1")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errs := atOnce(w, len(bookings), func(w *world, i int) error {
		_, err := w.completeStep().Run(ctx, booking.CompleteCommand{UserID: bookings[i].UserID, BookingID: bookings[i].ID})
		return err
	})
	if count(errs, booking.ErrInsufficientPoints) != len(bookings) {
		t.Errorf("complete: %v", errs)
	}
	w.wantAvailable(product, 18)
	w.deliver()
	w.wantNet("0.00")
	w.wantSound()
}

func TestCentsAddUp(t *testing.T) {
	w := newWorld(t)
	w.grant(7, "0.10")
	b := w.register(w.reserve(7, w.priced(1, amount("0.30"))), both("0.10", booking.Card, "0.20"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.complete(b); err != nil {
		t.Fatal(err)
	}
	w.wantNet("0.20")
	w.wantPoints(7, "0.00")
	w.wantSound()
}
