package booking_test

import (
	"strings"
	"testing"

	"stayhold/shared/booking"
)

// wantAdvice holds explain's next safe action against its beginning.
func (w *world) wantAdvice(b booking.Booking, begins string) {
	w.t.Helper()
	story, err := w.admin().Explain(w.t.Context(), b.ID)
	if err != nil || !strings.HasPrefix(story.SafeToDo, begins) {
		w.t.Errorf("explain of a booking that is %s: %q (%v), want %q", story.Booking.Status, story.SafeToDo, err, begins)
	}
}

func TestExplainNamesTheNextSafeAction(t *testing.T) {
	w := newWorld(t)
	product := w.product(10)
	b := w.reserve(7, product)
	w.wantAdvice(b, "Held and not paid")
	b = w.register(b, card("100000"))
	w.wantAdvice(b, "Held and not paid")
	if r, err := w.approve(b, "timeout-7"); err != nil || !r.Pending {
		t.Fatal(err)
	}
	w.wantAdvice(b, "The gateway's answer is awaited")
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(b, "Money is on its way back")

	stuck := w.register(w.reserve(8, product), card("100000"))
	if _, err := w.approve(stuck, "stuckcancel-8"); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(stuck, "Paid and held")
	if _, err := w.cancel(stuck); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.exec(`UPDATE payment_attempt SET next_try_at = now() WHERE booking_id = $1 AND kind = 'CANCEL'`, stuck.ID)
		w.sweep()
	}
	w.wantAdvice(stuck, "The gateway keeps refusing the refund")

	w.exec(`UPDATE payment_attempt SET state = 'DONE' WHERE booking_id = $1 AND kind = 'CANCEL'`, stuck.ID)
	w.wantAdvice(stuck, "Ended, and a payment was neither returned")

	plain := w.reserve(9, product)
	w.exec(`UPDATE booking SET hold_expires_at = now() - interval '5 seconds' WHERE id = $1`, plain.ID)
	w.wantAdvice(plain, "Its hold has lapsed: wait")
	w.exec(`UPDATE booking SET hold_expires_at = now() - interval '121 seconds' WHERE id = $1`, plain.ID)
	w.wantAdvice(plain, "Its hold lapsed long ago")
	if _, err := w.cancel(plain); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(plain, "Ended and settled")
}

func TestExplainTellsOfGateDrift(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	sold := w.sellToDeafGate(7, product)
	w.wantAdvice(sold, "Sold, and the gate does not have it as sold: reconcile")
	w.reconciled(product)
	w.wantAdvice(sold, "Sold: nothing to do")

	cancel := w.cancelStep()
	cancel.Gate = deaf{w.gate}
	if _, err := cancel.Run(t.Context(), booking.Cancellation{UserID: 7, BookingID: sold.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(sold, "Not sold, and the gate has it as sold: reconcile")
	w.reconciled(product)
	w.wantAdvice(sold, "Ended and settled")

	held := w.reserve(8, product)
	if _, err := cancel.Run(t.Context(), booking.Cancellation{UserID: 8, BookingID: held.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(held, "Ended, and the gate still holds its unit: redrive")
	if _, err := w.admin().Redrive(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(held, "Ended and settled")

	open := w.reserve(9, product)
	if err := w.gate.Release(t.Context(), open.Hold()); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(open, "Held by the rows, and not in the gate: reconcile")
	if _, err := w.gate.Place(t.Context(), stranger(9, product), w.holdTTL); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(open, "Another hold of its user")
	if err := w.gate.Release(t.Context(), stranger(9, product)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.gate.Place(t.Context(), stranger(10, product), w.holdTTL); err != nil {
		t.Fatal(err)
	}
	w.wantAdvice(open, "Held by the rows, and its unit went to somebody else")

	away := w.admin()
	away.Gate = w.openGate("redis://127.0.0.1:1", "")
	story, err := away.Explain(t.Context(), open.ID)
	if err != nil || story.GateFault == nil || !strings.HasPrefix(story.SafeToDo, "Held and not paid") {
		t.Errorf("without the gate: %q, %v %v", story.SafeToDo, story.GateFault, err)
	}
}

func TestRedriveSaysWhatItPutBackToWork(t *testing.T) {
	w := newWorld(t)
	product := w.product(10)
	var waiting []booking.Booking
	for user, key := range map[int64]string{7: "slowcancel-1-7", 8: "slowcancel-1-8"} {
		b := w.register(w.reserve(user, product), card("100000"))
		if _, err := w.approve(b, key); err != nil {
			t.Fatal(err)
		}
		if _, err := w.cancel(b); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, b)
	}
	done := w.reserve(9, product)
	if _, err := w.cancel(done); err != nil {
		t.Fatal(err)
	}
	w.deliver() // each refund fails once, and waits
	if ids, err := w.admin().Redrive(t.Context(), done.ID); err != nil || len(ids) != 0 {
		t.Errorf("redrive of what is settled: %v %v", ids, err)
	}
	w.exec(`UPDATE payment_attempt SET next_try_at = now() + interval '5 minutes' WHERE kind = 'CANCEL'`)
	ids, err := w.admin().Redrive(t.Context(), 0)
	if err != nil || len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("redrive: %v %v, want bookings %d and %d", ids, err, waiting[0].ID, waiting[1].ID)
	}
	if report := w.sweep(); report.Settled != 2 {
		t.Errorf("the sweep after it: %+v", report)
	}
	w.wantNet("0.00")
	w.wantSound()
}
