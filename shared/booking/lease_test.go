package booking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// unsettled is a charge of which nothing is known: its intent stands, and its owner
// has put it down without an answer.
func (w *world) unsettled(user, product int64, paymentKey string) booking.Booking {
	w.t.Helper()
	b := w.register(w.reserve(user, product), card("100000"))
	in := w.begin(b, paymentKey)
	if r, err := w.store.EndApproval(w.t.Context(), in, booking.Finding{Code: booking.FoundUnknown}); err != nil || !r.Pending {
		w.t.Fatalf("end: %v %+v", err, r)
	}
	return b
}

func TestStaleOwnerIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	for i, late := range []booking.Finding{
		{Code: booking.FoundDeclined, DeclineCode: "REJECT_CARD_PAYMENT"},
		{Code: booking.FoundNotSent},
		{Code: booking.FoundHoldLost},
	} {
		b := w.register(w.reserve(int64(7+i), product), card("100000"))
		stale := w.begin(b, "ok-1")
		w.exec(`UPDATE payment_attempt SET lease_until = now(), next_try_at = now() WHERE booking_id = $1`, b.ID)
		live, err := w.store.ClaimApproval(t.Context(), b.ID, "somebody else", time.Minute, w.session)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := w.store.EndApproval(t.Context(), stale, late); err != nil || !r.Pending {
			t.Errorf("%s by an owner whose lease was taken over: %v %+v", late.Code, err, r)
		}
		r, err := w.store.EndApproval(t.Context(), live, booking.Finding{Code: booking.FoundApproved, ByLookup: true})
		if err != nil || r.Booking.Status != booking.PaymentPending {
			t.Errorf("the owner after %s: %v %s", late.Code, err, r.Booking.Status)
		}
	}
}

func TestLiveLeaseIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	b := w.register(w.reserve(7, product), card("100000"))
	in := w.begin(b, "ok-1")
	if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrPaymentInProgress) {
		t.Errorf("approve beside an approve: %v", err)
	}
	if err := w.compensateStep().Resolve(t.Context(), b.ID); !errors.Is(err, booking.ErrNothingDue) {
		t.Errorf("resolve beside an approve: %v", err)
	}
	if _, err := w.store.EndApproval(t.Context(), in, booking.Finding{Code: booking.FoundDeclined, DeclineCode: "REJECT_CARD_PAYMENT"}); !errors.Is(err, booking.ErrPaymentDeclined) {
		t.Errorf("the owner: %v", err)
	}

	paid := w.register(w.reserve(8, product), card("100000"))
	if _, err := w.approve(paid, "ok-2"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(paid); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.ClaimRefund(t.Context(), paid.ID, "one", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := w.compensateStep().Refund(t.Context(), paid.ID); !errors.Is(err, booking.ErrNothingDue) {
		t.Errorf("refund beside a refund: %v", err)
	}
}

// noting is a gateway that keeps what was asked of it, and lets a test act between a
// look-up's answer and its reader.
type noting struct {
	booking.Gateway
	confirms, cancels []booking.Charge
	lookedUp          func(booking.Charge)
}

func (g *noting) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	g.confirms = append(g.confirms, c)
	return g.Gateway.Confirm(ctx, c)
}

func (g *noting) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	g.cancels = append(g.cancels, c)
	return g.Gateway.Cancel(ctx, c, reason)
}

func (g *noting) Lookup(ctx context.Context, c booking.Charge) booking.Answer {
	a := g.Gateway.Lookup(ctx, c)
	if g.lookedUp != nil {
		g.lookedUp(c)
	}
	return a
}

// TestSessionIsJudgedBeforeTheLookUp lets the confirm that was under way charge after
// the look-up found nothing, and the session end before anybody has read that.
func TestSessionIsJudgedBeforeTheLookUp(t *testing.T) {
	w := newWorld(t)
	b := w.unsettled(7, w.product(1), "ok-1")
	real := w.gateway
	w.gateway = &noting{Gateway: real, lookedUp: func(c booking.Charge) {
		if a := real.Confirm(t.Context(), c); a.Verdict != booking.VerdictApproved {
			t.Errorf("the confirm under way: %+v", a)
		}
		w.exec(`UPDATE payment_attempt SET sendable_until = now() - interval '1 hour' WHERE booking_id = $1`, b.ID)
	}}
	if err := w.compensateStep().Resolve(t.Context(), b.ID); !errors.Is(err, booking.ErrLeftToSweep) {
		t.Errorf("resolve: %v", err)
	}
	w.wantStatus(b, booking.Init, booking.PaymentReady)
	w.gateway = real
	w.later(b, false)
	w.sweep()
	w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess)
	w.wantNet("100000.00")
	w.wantSound()
}

func TestSameActionKeepsItsKey(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	asked := &noting{Gateway: w.gateway}
	w.gateway = asked
	b := w.unknown(7, product, "flaky-1")
	if r, err := w.approve(b, "flaky-1"); err != nil || r.Pending {
		t.Fatalf("the repeat: %v %+v", err, r)
	}
	refunded := w.register(w.reserve(8, product), card("100000"))
	if _, err := w.approve(refunded, "slowcancel-2-x"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(refunded); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	for range 2 {
		w.later(refunded, false)
		w.sweep()
	}
	w.wantNet("100000.00")
	if n := len(asked.confirms); n != 3 {
		t.Fatalf("%d confirms", n)
	}
	if one, two := asked.confirms[0], asked.confirms[1]; one.Key != two.Key || one.OrderID != two.OrderID {
		t.Errorf("a charge was repeated as another one: %+v, %+v", one, two)
	}
	if asked.confirms[2].Key == asked.confirms[0].Key {
		t.Error("two payments share a key")
	}
	if n := len(asked.cancels); n != 3 {
		t.Fatalf("%d cancels", n)
	}
	for _, c := range asked.cancels {
		if c.Key != asked.cancels[0].Key || c.Key == asked.confirms[2].Key {
			t.Errorf("the keys of one refund: %+v", asked.cancels)
		}
	}
}

func TestMessageAndSweepNeverCharge(t *testing.T) {
	w := newWorld(t)
	b := w.unsettled(7, w.product(1), "ok-1")
	if err := w.compensateStep().Run(t.Context(), booking.Message{Task: booking.TaskResolve, BookingID: b.ID}); !errors.Is(err, booking.ErrLeftToSweep) {
		t.Errorf("resolve: %v", err)
	}
	w.later(b, false)
	w.sweep()
	if charges := w.simulator.Ledger().Charges; len(charges) != 0 {
		t.Errorf("charged: %+v", charges)
	}
	w.wantStatus(b, booking.Init, booking.PaymentReady)
}

// TestEarlyMessageWaitsForItsTransaction brings a message while the fence that it is
// about is not committed, and so shows no row.
func TestEarlyMessageWaitsForItsTransaction(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	commit := postgrestest.Lock(t, w.databaseURL, `SELECT cancel_booking($1, $2, 'changed my mind', NULL)`, b.UserID, b.ID)
	c, done := w.clone(), make(chan error, 1)
	go func() {
		done <- c.compensateStep().Run(t.Context(), booking.Message{Task: booking.TaskCompensate, BookingID: b.ID})
	}()
	w.await("the message at the lock", func() bool {
		select {
		case err := <-done:
			done <- err
			t.Errorf("acknowledged beside an open transaction: %v", err)
			return true
		default:
			// A division by zero while nobody waits.
			return w.beside(`SELECT 1 / count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`) == nil
		}
	})
	commit()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	w.wantNet("0.00")
}

func TestHoldIsLengthenedOncePerPayment(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	b := w.register(w.reserve(7, product), card("100000"))
	left := func(b booking.Booking, seconds int) {
		w.exec(`UPDATE booking SET hold_expires_at = now() + $2 * interval '1 second' WHERE id = $1`, b.ID, seconds)
	}
	unsent := func(b booking.Booking) time.Duration {
		t.Helper()
		w.gatePort = mute{w.gate}
		defer w.plain()
		if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrUnavailable) {
			t.Fatalf("approve without the gate: %v", err)
		}
		return w.read(b).Remain()
	}
	left(b, 20)
	if got := unsent(b); got < w.window-10*time.Second {
		t.Errorf("the first approve left %v of the hold", got)
	}
	left(b, 20)
	if got := unsent(b); got > 20*time.Second {
		t.Errorf("the second approve left %v of the hold", got)
	}
	left(b, 0)
	if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrHoldExpired) {
		t.Errorf("approve when it would take another lengthening: %v", err)
	}

	old := w.register(w.reserve(8, product), card("100000"))
	w.exec(`UPDATE booking SET created_at = now() - interval '1 hour' WHERE id = $1`, old.ID)
	left(old, 20)
	if _, err := w.approve(old, "ok-2"); !errors.Is(err, booking.ErrHoldExpired) {
		t.Errorf("approve past the limit of a hold: %v", err)
	}
	w.wantNet("0.00")
}

// mute is a gate that does not answer an ensure.
type mute struct{ booking.Gate }

func (mute) Ensure(context.Context, booking.Hold, time.Time) (booking.EnsureCode, error) {
	return "", booking.ErrUnavailable
}
