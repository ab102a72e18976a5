package booking_test

import (
	"context"
	"errors"
	"testing"

	"stayhold/shared/booking"
)

// slowly is a gateway that lets something happen while a charge is under way: before
// the money is taken, or after it and before the answer is read.
type slowly struct {
	booking.Gateway
	before, after func()
}

func (g slowly) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	g.before()
	a := g.Gateway.Confirm(ctx, c)
	g.after()
	return a
}

func TestWhatComesDuringTheCharge(t *testing.T) {
	for name, c := range map[string]struct {
		act    func(*world, booking.Booking) error
		acted  error
		told   error // to the buyer whose approve is under way
		status booking.Status
		net    string
	}{
		"his cancel": {func(w *world, b booking.Booking) error {
			_, err := w.cancel(b)
			return err
		}, nil, booking.ErrInvalidState, booking.Cancelled, "0.00"},
		"the sweep of his hold": {func(w *world, b booking.Booking) error {
			w.stage.lapse(b)
			w.sweep()
			return nil
		}, nil, booking.ErrHoldExpired, booking.Failed, "0.00"},
		"his second approve": {func(w *world, b booking.Booking) error {
			_, err := w.approve(b, "ok-1")
			return err
		}, booking.ErrPaymentInProgress, nil, booking.PaymentPending, "100000.00"},
		"another set": {func(w *world, b booking.Booking) error {
			_, err := booking.Register{Store: w.storePort}.Run(w.t.Context(),
				booking.Registration{UserID: b.UserID, BookingID: b.ID, Set: points("100000")})
			return err
		}, booking.ErrPaymentInProgress, nil, booking.PaymentPending, "100000.00"},
		"his complete": {func(w *world, b booking.Booking) error {
			_, err := w.complete(b)
			return err
		}, booking.ErrPaymentInProgress, nil, booking.PaymentPending, "100000.00"},
	} {
		for _, when := range []string{"before the money", "after the money"} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				w.grant(7, "100000")
				b := w.register(w.reserve(7, w.product(2)), card("100000"))
				meanwhile := func() {
					beside := w.clone()
					if err := c.act(beside, b); !errors.Is(err, c.acted) {
						t.Errorf("meanwhile: %v", err)
					}
				}
				slow := slowly{w.gateway, meanwhile, func() {}}
				if when == "after the money" {
					slow = slowly{w.gateway, func() {}, meanwhile}
				}
				step := w.approveStep()
				step.Gateway = slow
				_, err := step.Run(t.Context(), booking.ApproveCommand{UserID: 7, BookingID: b.ID, PaymentKey: "ok-1"})
				if !errors.Is(err, c.told) {
					t.Errorf("approve: %v", err)
				}
				w.deliver()
				w.wantStatus(b, c.status)
				w.wantNet(c.net)
				if charges := w.simulator.Ledger().Charges; len(charges) != 1 || charges[0].Confirms != 1 {
					t.Errorf("charges: %+v", charges)
				}
				w.wantSound()
			})
		}
	}
}

func TestPaidSetIsNotReplaced(t *testing.T) {
	w := newWorld(t)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	for _, set := range []booking.Set{points("100000"), both("1000", booking.Card, "99000")} {
		_, err := booking.Register{Store: w.storePort}.Run(t.Context(), booking.Registration{UserID: 7, BookingID: b.ID, Set: set})
		if !errors.Is(err, booking.ErrInvalidState) {
			t.Errorf("register over a charge: %v", err)
		}
	}
	if got := w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess); len(got.Payments) != 1 {
		t.Errorf("payments: %+v", got.Payments)
	}
	w.wantNet("100000.00")
}
