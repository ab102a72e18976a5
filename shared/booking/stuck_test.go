package booking_test

import (
	"context"
	"slices"
	"testing"

	"stayhold/shared/booking"
)

// sick is a gateway that gives no money back until it heals.
type sick struct {
	booking.Gateway
	healed *bool
	asked  *[]string // the Idempotency-Key of each cancel
}

func (g sick) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	*g.asked = append(*g.asked, c.Key)
	if !*g.healed {
		return booking.Answer{Verdict: booking.VerdictUnknown}
	}
	return g.Gateway.Cancel(ctx, c, reason)
}

// TestRefundIsNeverGivenUp has a gateway refuse a refund far longer than it takes to be
// shown as stuck, beside one that it gives.
func TestRefundIsNeverGivenUp(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	stuck, fine := w.register(w.reserve(7, product), card("100000")), w.register(w.reserve(8, product), card("100000"))
	for _, b := range []booking.Booking{stuck, fine} {
		if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.complete(stuck); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(stuck); err != nil {
		t.Fatal(err)
	}
	w.wantAvailable(product, 1) // the unit never waits for the money
	w.queue.take()

	var healed bool
	var asked []string
	healthy := w.gateway
	w.gateway = sick{healthy, &healed, &asked}
	const rounds = 15
	for round := 1; round <= rounds; round++ {
		w.later(stuck, false)
		report := w.sweep()
		b := w.read(stuck)
		state, sum := b.Refund()
		want, approval, counted := booking.RefundPending, booking.ApprovalCancelRequested, 0
		if round >= 3 {
			want, approval = booking.RefundStuck, booking.ApprovalCancelFailed
		}
		if round > 3 {
			counted = 1
		}
		if state != want || b.Payments[0].Approval != approval || !sum.Equal(amount("100000")) || report.Stuck != counted {
			t.Fatalf("round %d: refund %s, approval %s, %s, report %+v", round, state, b.Payments[0].Approval, sum, report)
		}
	}
	if len(asked) != rounds || len(slices.Compact(asked)) != 1 {
		t.Errorf("asked %d times with the keys %v", rounds, asked)
	}
	// The longest pause is five minutes, however often it has failed.
	w.exec(`DO $$ BEGIN IF EXISTS (SELECT FROM payment_attempt WHERE kind = 'CANCEL' AND state = 'PENDING'
		AND next_try_at > now() + interval '5 minutes') THEN RAISE 'too late a try'; END IF; END $$`)
	w.wantNet("200000.00")
	w.wantSound()

	// It keeps nobody else's money.
	w.gateway = healthy
	if _, err := w.cancel(fine); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	w.wantStatus(fine, booking.Cancelled, booking.PaymentCancelled)

	// Put back to work while the gateway is still sick: nothing is lost.
	w.gateway = sick{healthy, &healed, &asked}
	if ids, err := w.admin().Redrive(t.Context(), stuck.ID); err != nil || !slices.Equal(ids, []int64{stuck.ID}) {
		t.Errorf("redrive: %v %v", ids, err)
	}
	w.wantNet("100000.00")
	healed = true
	if ids, err := w.admin().Redrive(t.Context(), 0); err != nil || !slices.Equal(ids, []int64{stuck.ID}) {
		t.Errorf("redrive of all: %v %v", ids, err)
	}
	if report := w.sweep(); report.Settled != 1 || report.Stuck != 0 {
		t.Errorf("swept: %+v", report)
	}
	if state, _ := w.wantStatus(stuck, booking.Cancelled, booking.PaymentCancelled).Refund(); state != booking.RefundDone {
		t.Errorf("refund is %s", state)
	}
	w.wantNet("0.00")
	w.wantSound()
}
