package booking_test

import (
	"errors"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// unknown brings a booking to a charge whose answer did not come.
func (w *world) unknown(user, product int64, paymentKey string) booking.Booking {
	w.t.Helper()
	b := w.register(w.reserve(user, product), card("100000"))
	r, err := w.approve(b, paymentKey)
	if err != nil || !r.Pending {
		w.t.Fatalf("approve %s: %v %+v", paymentKey, err, r)
	}
	if got := r.Booking.Payments[0].Approval; got != booking.ApprovalUnknown {
		w.t.Errorf("approval is %s", got)
	}
	return b
}

// later makes what waits for its next look-up due, and its session over when asked.
func (w *world) later(b booking.Booking, sessionOver bool) {
	w.t.Helper()
	w.exec(`UPDATE payment_attempt SET next_try_at = now(),
		sendable_until = CASE WHEN $2 THEN now() - interval '1 hour' ELSE sendable_until END
		WHERE booking_id = $1 AND next_try_at IS NOT NULL`, b.ID, sessionOver)
}

func (w *world) sweep() booking.SweepReport {
	w.t.Helper()
	report, err := w.sweepStep().Run(w.t.Context())
	if err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
	return report
}

func TestUnknownThatWasCharged(t *testing.T) {
	resolve := map[string]func(*world, booking.Booking){
		"by message": func(w *world, _ booking.Booking) { w.deliver() },
		"by sweep": func(w *world, _ booking.Booking) {
			w.queue.take()
			w.sweep()
		},
		"by retry": func(w *world, b booking.Booking) {
			if r, err := w.approve(b, "lost-1"); err != nil || r.Pending {
				w.t.Fatalf("retry: %v %+v", err, r)
			}
		},
	}
	for name, by := range resolve {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			product := w.product(1)
			b := w.unknown(7, product, "lost-1")
			if _, err := w.complete(b); !errors.Is(err, booking.ErrPaymentInProgress) {
				t.Errorf("complete meanwhile: %v", err)
			}
			if _, err := w.approve(b, "other-key"); !errors.Is(err, booking.ErrPaymentInProgress) {
				t.Errorf("approve with another key: %v", err)
			}
			_, err := booking.Register{Store: w.storePort}.Run(t.Context(), booking.Registration{UserID: 7, BookingID: b.ID, Set: points("100000")})
			if !errors.Is(err, booking.ErrPaymentInProgress) {
				t.Errorf("register meanwhile: %v", err)
			}
			by(w, b)
			w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess)
			if _, err := w.complete(b); err != nil {
				t.Fatal(err)
			}
			w.wantNet("100000.00")
			w.wantSound()
		})
	}
}

func TestUnknownThatWasNotCharged(t *testing.T) {
	t.Run("the buyer repeats and is charged once", func(t *testing.T) {
		w := newWorld(t)
		b := w.unknown(7, w.product(1), "flaky-1")
		r, err := w.approve(b, "flaky-1")
		if err != nil || r.Pending || r.Booking.Status != booking.PaymentPending {
			t.Fatalf("repeat: %v %+v", err, r)
		}
		w.wantNet("100000.00")
		w.wantSound()
	})
	t.Run("a look-up does not close it before the session is over", func(t *testing.T) {
		w := newWorld(t)
		b := w.unknown(7, w.product(1), "timeout-1")
		w.deliver()
		w.later(b, false)
		w.sweep()
		w.wantStatus(b, booking.Init, booking.PaymentReady)
		w.later(b, true)
		w.sweep()
		got := w.wantStatus(b, booking.Init, booking.PaymentFailed)
		if got.Payments[0].Approval != booking.ApprovalCancelled {
			t.Errorf("approval is %s", got.Payments[0].Approval)
		}
		w.wantNet("0.00")
		w.wantSound()
	})
	t.Run("a buyer who asks again and again does not put the look-up off", func(t *testing.T) {
		w := newWorld(t)
		b := w.unknown(7, w.product(1), "timeout-1")
		for range 8 {
			if r, err := w.approve(b, "timeout-1"); err != nil || !r.Pending {
				t.Fatalf("repeat: %v %+v", err, r)
			}
		}
		var soon bool
		if err := postgrestest.Row(t.Context(), w.databaseURL, `SELECT next_try_at - now() <= now() - created_at + interval '2 seconds' FROM payment_attempt`, &soon); err != nil {
			t.Fatal(err)
		}
		if !soon {
			t.Error("the sweep will look the charge up only after longer than it is old")
		}
	})
	t.Run("the hold ends first", func(t *testing.T) {
		w := newWorld(t)
		product := w.product(1)
		b := w.unknown(7, product, "timeout-1")
		w.queue.take()
		w.stage.lapse(b)
		w.sweep()
		got := w.wantStatus(b, booking.Failed, booking.PaymentReady)
		if state, _ := got.Refund(); state != booking.RefundPending || got.Failure.Code != "HOLD_EXPIRED" {
			t.Errorf("refund is %s of %+v", state, got.Failure)
		}
		w.later(b, true)
		w.sweep()
		got = w.wantStatus(b, booking.Failed, booking.PaymentCancelled)
		if state, _ := got.Refund(); state != booking.RefundNone || got.Payments[0].Approval != booking.ApprovalCancelled {
			t.Errorf("refund is %s, approval %s", state, got.Payments[0].Approval)
		}
		w.wantAvailable(product, 1)
		w.wantNet("0.00")
		w.wantSound()
	})
}

func TestLateChargeFindsTheBookingDead(t *testing.T) {
	w := newWorld(t)
	w.openGateway(5 * time.Second) // later than the cancel and its message on the busiest machine
	product := w.product(1)
	b := w.unknown(7, product, "late-1")
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	w.wantStatus(b, booking.Cancelled, booking.PaymentReady)
	w.await("the late charge", func() bool { return w.simulator.Ledger().Net == "100000.00" })
	w.later(b, false)
	w.sweep()
	w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	w.wantNet("0.00")
	w.wantAvailable(product, 1)
	w.wantSound()
}

// await polls for what a server or a buyer does by itself, for as long as a busy machine may take.
func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s did not come", what)
		}
	}
}

func TestAnotherAmountGoesBack(t *testing.T) {
	w := newWorld(t)
	b := w.unknown(7, w.product(1), "mismatch-1")
	w.deliver()
	got := w.wantStatus(b, booking.Init, booking.PaymentFailed)
	if state, sum := got.Refund(); state != booking.RefundDone || sum.Equal(amount("100000")) {
		t.Errorf("refund is %s %s", state, sum)
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

func TestRefundIsTriedUntilItIsBack(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "slowcancel-3-x"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	for range 2 {
		w.wantNet("100000.00")
		w.later(b, false)
		if report := w.sweep(); len(report.Faults) != 1 {
			t.Errorf("the sweep does not tell of the refund: %+v", report)
		}
	}
	got := w.read(b)
	if state, _ := got.Refund(); state != booking.RefundStuck || got.Payments[0].Approval != booking.ApprovalCancelFailed {
		t.Errorf("refund is %s, approval %s", state, got.Payments[0].Approval)
	}
	ids, err := w.admin().Redrive(t.Context(), b.ID)
	if err != nil || len(ids) != 1 {
		t.Fatalf("redrive: %v %v", ids, err)
	}
	got = w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	if state, _ := got.Refund(); state != booking.RefundDone {
		t.Errorf("refund is %s", state)
	}
	w.wantNet("0.00")
	w.wantSound()
}

func TestLostMessagesAreSentBySweep(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	w.queue.fail = errors.New("the queue is away")
	r, err := w.cancel(b)
	if err != nil || r.Deferred == nil {
		t.Fatalf("cancel: %v, deferred %v", err, r.Deferred)
	}
	w.queue.fail = nil
	w.exec(`UPDATE outbox SET created_at = now() - interval '1 minute' WHERE booking_id = $1`, b.ID)
	if report := w.sweep(); report.Sent != 1 {
		t.Errorf("swept: %+v", report)
	}
	if sent := w.queue.take(); len(sent) != 1 || sent[0] != (booking.Message{Task: booking.TaskCompensate, BookingID: b.ID}) {
		t.Errorf("sent: %v", sent)
	}
	w.wantNet("0.00")
	w.wantSound()
}

func TestConfigurationFaultChargesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	good := w.gateway
	w.gateway = w.gatewayWith("wrong secret")
	if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrUnavailable) {
		t.Fatalf("approve: %v", err)
	}
	w.wantStatus(b, booking.Init, booking.PaymentReady)
	w.gateway = good
	if r, err := w.approve(b, "ok-1"); err != nil || r.Pending {
		t.Fatalf("approve with the right secret: %v", err)
	}
	w.wantNet("100000.00")
	w.wantSound()
}
