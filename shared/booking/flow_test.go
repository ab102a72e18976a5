package booking_test

import (
	"errors"
	"testing"

	"stayhold/shared/booking"
)

func TestEveryPaymentSetIsSold(t *testing.T) {
	for name, set := range map[string]booking.Set{
		"card":           card("100000"),
		"ypay":           {{Method: booking.YPay, Amount: amount("100000.00")}},
		"point":          points("100000"),
		"card and point": both("3000", booking.Card, "97000.00"),
		"ypay and point": both("0.01", booking.YPay, "99999.99"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			product := w.product(2)
			w.grant(7, "150000")

			b := w.reserve(7, product)
			if b.Status != booking.Init || !b.Total.Equal(amount("100000")) || b.Remain() <= 0 {
				t.Errorf("reserved: %+v", b)
			}
			w.wantAvailable(product, 1)
			b = w.register(b, set)
			want := booking.Init
			if name == "point" {
				want = booking.PaymentPending
			}
			if b.Status != want {
				t.Errorf("registered: %s, want %s", b.Status, want)
			}
			paid, err := w.approve(b, "ok-1")
			if err != nil || paid.Pending || paid.Booking.Status != booking.PaymentPending {
				t.Fatalf("approve: %v %+v", err, paid)
			}
			again, err := w.approve(b, "ok-1")
			if err != nil || again.Booking.Status != booking.PaymentPending {
				t.Errorf("approve again: %v", err)
			}
			for range 2 {
				sold, err := w.complete(b)
				if err != nil || sold.Deferred != nil || sold.Booking.Status != booking.Confirmed {
					t.Fatalf("complete: %v %v", err, sold.Deferred)
				}
			}
			w.wantStatus(b, booking.Confirmed, booking.PaymentSuccess)
			w.wantAvailable(product, 1)
			byGateway := amount("0")
			for _, p := range set {
				if p.Method.ByGateway() {
					byGateway = byGateway.Add(p.Amount)
				}
			}
			w.wantNet(byGateway.StringFixed(2))
			w.wantPoints(7, amount("50000").Add(byGateway).StringFixed(2))
			w.wantSound()

			_, err = w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
			var refused *booking.Error
			if !errors.Is(err, booking.ErrAlreadyPurchased) || !errors.As(err, &refused) || refused.Members["bookingId"] != b.ID {
				t.Errorf("reserve after the sale: %v", err)
			}

			if _, err := w.cancel(b); err != nil {
				t.Fatal(err)
			}
			w.deliver()
			w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
			w.wantNet("0.00")
			w.wantPoints(7, "150000.00")
			w.wantAvailable(product, 2)
			w.wantSound()
		})
	}
}

func TestDeclineKeepsTheHold(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.grant(7, "5000")
	b := w.register(w.reserve(7, product), both("3000", booking.Card, "97000"))

	_, err := w.approve(b, "decline-1")
	var declined *booking.Error
	if !errors.As(err, &declined) || declined.Code != "PAYMENT_DECLINED" || declined.Members["declineCode"] != "REJECT_CARD_PAYMENT" {
		t.Fatalf("approve: %v", err)
	}
	w.wantStatus(b, booking.Init, booking.PaymentCancelled, booking.PaymentFailed)
	w.wantAvailable(product, 0)
	if _, err := w.complete(b); !errors.Is(err, booking.ErrPaymentIncomplete) {
		t.Errorf("complete after a decline: %v", err)
	}

	b = w.register(b, card("100000"))
	if _, err := w.approve(b, "ok-2"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.complete(b); err != nil {
		t.Fatal(err)
	}
	w.wantNet("100000.00")
	w.wantSound()
}

func TestPointsGoneAtComplete(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	w.grant(7, "5000")
	b := w.register(w.reserve(7, product), both("5000", booking.Card, "95000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.grant(7, "-1")

	_, err := w.complete(b)
	var refused *booking.Error
	if !errors.As(err, &refused) || refused.Code != "INSUFFICIENT_POINTS" || refused.Members["compensation"] != "PENDING" {
		t.Fatalf("complete: %v", err)
	}
	failed := w.wantStatus(b, booking.Failed, booking.PaymentCancelled, booking.PaymentSuccess)
	if state, sum := failed.Refund(); state != booking.RefundPending || !sum.Equal(amount("95000")) {
		t.Errorf("refund is %s %s", state, sum)
	}
	w.wantAvailable(product, 2) // the unit does not wait for the money
	w.deliver()
	settled := w.wantStatus(b, booking.Failed, booking.PaymentCancelled, booking.PaymentCancelled)
	if state, _ := settled.Refund(); state != booking.RefundDone || settled.Failure.Code != "INSUFFICIENT_POINTS" {
		t.Errorf("refund is %s of %+v", state, settled.Failure)
	}
	w.wantNet("0.00")
	w.wantPoints(7, "4999.00")
	w.wantSound()
}

func TestStockGoneAtComplete(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	first, second := w.reserve(7, product), w.reserve(8, product)
	for _, b := range []booking.Booking{first, second} {
		if _, err := w.approve(w.register(b, card("100000")), "ok-"+b.HoldToken); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.admin().AdjustStock(t.Context(), product, -1, "a burst pipe"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.complete(first); err != nil {
		t.Fatal(err)
	}
	if _, err := w.complete(second); !errors.Is(err, booking.ErrSoldOut) {
		t.Fatalf("complete without stock: %v", err)
	}
	w.deliver()
	w.wantStatus(first, booking.Confirmed, booking.PaymentSuccess)
	w.wantStatus(second, booking.Failed, booking.PaymentCancelled)
	w.wantNet("100000.00")
	w.wantSound()
}

func TestLapsedHoldIsRetakenWhileAUnitIsFree(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.register(w.reserve(7, product), card("100000"))
	w.stage.lapse(b)
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.wantAvailable(product, 0)
	w.stage.lapse(b)
	sold, err := w.complete(b)
	if err != nil || sold.Booking.Status != booking.Confirmed {
		t.Fatalf("complete: %v", err)
	}
	w.wantAvailable(product, 0)
	w.wantSound()
}

func TestLapsedHoldWithoutAUnit(t *testing.T) {
	t.Run("before the charge", func(t *testing.T) {
		w := newWorld(t)
		product := w.product(1)
		b := w.register(w.reserve(7, product), card("100000"))
		w.stage.lapse(b)
		w.reserve(8, product)
		for range 2 {
			if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrHoldExpired) {
				t.Fatalf("approve: %v", err)
			}
		}
		w.wantStatus(b, booking.Failed, booking.PaymentCancelled)
		w.wantNet("0.00")
		w.wantSound()
	})
	t.Run("after the charge", func(t *testing.T) {
		w := newWorld(t)
		product := w.product(1)
		b := w.register(w.reserve(7, product), card("100000"))
		if _, err := w.approve(b, "ok-1"); err != nil {
			t.Fatal(err)
		}
		w.stage.lapse(b)
		w.reserve(8, product)
		_, err := w.complete(b)
		var refused *booking.Error
		if !errors.As(err, &refused) || refused.Code != "HOLD_EXPIRED" || refused.Members["compensation"] != "PENDING" {
			t.Fatalf("complete: %v", err)
		}
		w.deliver()
		w.wantStatus(b, booking.Failed, booking.PaymentCancelled)
		w.wantNet("0.00")
		if _, err := w.complete(b); !errors.Is(err, booking.ErrHoldExpired) {
			t.Errorf("complete again: %v", err)
		}
		w.wantSound()
	})
}

func TestOwnLapsedBookingGivesWay(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	first := w.reserve(7, product)
	w.stage.lapse(first)
	second := w.reserve(7, product)
	if second.ID == first.ID {
		t.Error("the lapsed booking was given again")
	}
	w.wantStatus(first, booking.Failed)

	b := w.register(second, card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.stage.lapse(b)
	r, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrDuplicateReservation) || r.Booking.ID != b.ID {
		t.Errorf("reserve beside a paid booking: %v", err)
	}
	if _, err := w.complete(b); err != nil {
		t.Errorf("complete: %v", err)
	}
	w.wantSound()
}

func TestCancelFromEachState(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	w.grant(9, "100000")
	held := w.reserve(7, product)
	paid := w.register(w.reserve(8, product), card("100000"))
	if _, err := w.approve(paid, "ok-1"); err != nil {
		t.Fatal(err)
	}
	pointsOnly := w.register(w.reserve(9, product), points("100000"))
	for _, b := range []booking.Booking{held, paid, pointsOnly} {
		for range 2 {
			if _, err := w.cancel(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.wantAvailable(product, 3)
	w.deliver()
	w.wantStatus(held, booking.Cancelled)
	w.wantStatus(paid, booking.Cancelled, booking.PaymentCancelled)
	w.wantStatus(pointsOnly, booking.Cancelled, booking.PaymentCancelled)
	w.wantPoints(9, "100000.00")
	w.wantNet("0.00")
	if _, err := w.approve(paid, "ok-1"); !errors.Is(err, booking.ErrInvalidState) {
		t.Errorf("approve after the cancel: %v", err)
	}
	w.wantSound()
}

func TestCancelAfterCheckIn(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, product), points("100000"))
	if _, err := w.complete(b); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE booking SET check_in_at = now() - interval '1 second' WHERE id = $1`, b.ID)
	if _, err := w.cancel(b); !errors.Is(err, booking.ErrInvalidState) {
		t.Errorf("cancel after check-in: %v", err)
	}
	if _, err := w.admin().CancelBooking(t.Context(), b.ID, "goodwill"); err != nil {
		t.Errorf("an administrator's cancel: %v", err)
	}
	w.wantPoints(7, "100000.00")
	w.wantAvailable(product, 1)
	w.wantSound()
}

func TestAnothersBookingIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.grant(8, "100000")
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	mine := w.read(b)
	strange := b
	strange.UserID = 8
	_, registered := booking.Register{Store: w.storePort}.Run(t.Context(), booking.Registration{UserID: 8, BookingID: b.ID, Set: points("100000")})
	_, approved := w.approve(strange, "ok-1")
	_, completed := w.complete(strange)
	_, cancelled := w.cancel(strange)
	_, read := w.query().Booking(t.Context(), 8, b.ID)
	for step, err := range map[string]error{
		"register": registered, "pg-approve": approved, "complete": completed, "cancel": cancelled, "read": read,
	} {
		if !errors.Is(err, booking.ErrBookingNotFound) {
			t.Errorf("%s by somebody else: %v", step, err)
		}
	}
	if now := w.read(b); now.Status != mine.Status || len(now.Payments) != 1 || len(now.Timeline) != len(mine.Timeline) {
		t.Errorf("somebody else changed %+v to %+v", mine, now)
	}
	w.wantNet("0.00")
}
