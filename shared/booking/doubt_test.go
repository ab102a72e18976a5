package booking_test

import (
	"context"
	"errors"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// throughWire gives the steps a database whose statements a test can lose.
func (w *world) throughWire() *postgrestest.Wire {
	w.t.Helper()
	wire := postgrestest.Proxy(w.t, w.databaseURL)
	w.store = w.openStore(wire.URL())
	w.plain()
	return wire
}

func (w *world) wantHeld(product, held, confirmed int64) {
	w.t.Helper()
	got, err := w.gate.Occupancies(w.t.Context(), product)
	if err != nil || got[0].Held != held || got[0].Confirmed != confirmed {
		w.t.Errorf("the gate has %+v (%v), want %d held and %d confirmed", got, err, held, confirmed)
	}
}

func TestDoubtReleasesNothing(t *testing.T) {
	w := newWorld(t)
	product := w.product(9)
	wire := w.throughWire()
	ask := func(user int64) (booking.Result, error) {
		return w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: user, ProductID: product})
	}
	w.reserve(1, product) // the statement is known: what is lost is the INSERT

	wire.LoseReply(1)
	if _, err := ask(2); !errors.Is(err, booking.ErrCommitResultUnknown) {
		t.Fatalf("the reply was lost: %v", err)
	}
	w.wantHeld(product, 2, 0)
	if r, err := ask(2); !errors.Is(err, booking.ErrDuplicateReservation) || r.Booking.UserID != 2 {
		t.Errorf("the repeat of what was done: %v", err)
	}
	w.wantHeld(product, 2, 0)

	wire.LoseRequest(1)
	if _, err := ask(3); !errors.Is(err, booking.ErrCommitResultUnknown) {
		t.Fatalf("the request was lost: %v", err)
	}
	w.wantHeld(product, 3, 0)
	if _, err := ask(3); err != nil {
		t.Errorf("the repeat of what was not done: %v", err)
	}
	w.wantHeld(product, 3, 0)
	w.wantSound()
}

func TestNobodyIsAdmittedWithoutTheGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.wantAvailable(product, 1)
	wire := holdtest.Proxy(t, w.redisURL)
	w.gate = w.openGate(wire.URL(), w.prefix)
	w.plain()
	wire.Refuse(true)
	_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("reserve: %v", err)
	}
	list, _, err := w.query().Bookings(t.Context(), 7, "", booking.Page{Limit: 5})
	if err != nil || len(list) != 0 {
		t.Errorf("bookings: %v %v", list, err)
	}
	wire.Refuse(false)
	w.reserve(7, product)
}

func TestSecondClickKeepsTheHold(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	b := w.reserve(7, product)
	r, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrDuplicateReservation) || r.Booking.ID != b.ID {
		t.Errorf("the second click: %v", err)
	}
	w.wantHeld(product, 1, 0)
}

func TestTokenOfADeadBookingIsAdoptedByNobody(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	first := w.reserve(7, product)
	cancel := w.cancelStep()
	cancel.Gate = deaf{w.gate}
	if _, err := cancel.Run(t.Context(), booking.Cancellation{UserID: 7, BookingID: first.ID}); err != nil {
		t.Fatal(err)
	}
	second := w.reserve(7, product)
	if second.HoldToken == first.HoldToken {
		t.Error("the dead booking's token was adopted")
	}
	if err := w.gate.Release(t.Context(), first.Hold()); err != nil { // it comes late
		t.Fatal(err)
	}
	w.wantHeld(product, 1, 0)
	w.wantStatus(second, booking.Init)
	w.wantSound()
}

func TestUnknownCommitAtCompleteIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(*postgrestest.Wire)
		left booking.Status
	}{
		"it was committed":   {func(wire *postgrestest.Wire) { wire.LoseReply(1) }, booking.Confirmed},
		"it never got there": {func(wire *postgrestest.Wire) { wire.LoseRequest(1) }, booking.PaymentPending},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			product := w.product(2)
			wire := w.throughWire()
			other, b := w.register(w.reserve(8, product), card("100000")), w.register(w.reserve(7, product), card("100000"))
			for _, b := range []booking.Booking{other, b} {
				if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.complete(other); err != nil { // the statement is known: what is lost is the commit
				t.Fatal(err)
			}
			c.lose(wire)
			if _, err := w.complete(b); !errors.Is(err, booking.ErrCommitResultUnknown) {
				t.Errorf("complete: %v", err)
			}
			w.wantStatus(b, c.left, booking.PaymentSuccess)
			w.deliver()
			if r, err := w.complete(b); err != nil || r.Booking.Status != booking.Confirmed {
				t.Errorf("the repeat: %v", err)
			}
			w.wantNet("200000.00")
			w.wantSound()
		})
	}
}

// refusing is a store whose complete never gets to the database.
type refusing struct{ booking.Store }

func (refusing) Complete(context.Context, booking.Completion) (booking.Result, error) {
	return booking.Result{}, booking.ErrUnavailable
}

func TestGateHearsOfACommitOnly(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, product), points("100000"))
	w.storePort = refusing{w.store}
	if _, err := w.complete(b); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("complete: %v", err)
	}
	w.wantHeld(product, 1, 0)
	w.plain()
	w.wantStatus(b, booking.PaymentPending)
	if sent := w.queue.take(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
	if _, err := w.complete(b); err != nil {
		t.Error(err)
	}
	w.wantHeld(product, 0, 1)
}

// TestUnitOfAnotherHoldIsNotSold lets the user's place bear another token when complete
// comes to take its lapsed hold again: nobody knows whose unit that is.
func TestUnitOfAnotherHoldIsNotSold(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	b := w.register(w.reserve(7, product), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.stage.lapse(b)
	other := booking.Hold{ProductID: product, UserID: 7, Token: "ffffffffffffffffffffffffffffffff"}
	if p, err := w.gate.Place(t.Context(), other, w.holdTTL); err != nil || p.Code != booking.PlaceNew {
		t.Fatalf("place: %+v %v", p, err)
	}
	if _, err := w.complete(b); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("complete: %v", err)
	}
	w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess)
	w.wantHeld(product, 1, 0)
}
