package booking_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// deaf is a gate that is not told what a step did after its commit.
type deaf struct{ booking.Gate }

var errDeaf = errors.New("the process died before the call")

func (deaf) Confirm(context.Context, booking.Hold, int64) error { return errDeaf }

func (deaf) Release(context.Context, booking.Hold) error { return errDeaf }

// TestRepeatUnderItsKeyTellsTheGate: complete died between its commit and the gate, and the
// buyer's repeat is answered from what was stored. The gate hears of the sale all the
// same, and of none that is over.
func TestRepeatUnderItsKeyTellsTheGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, product), points("100000"))
	key := booking.IdempotencyKey{UserID: 7, Scope: "POST /bookings/1/complete", Key: "k", Fingerprint: "f", RequestID: "r"}
	step := w.completeStep()
	step.Gate = deaf{w.gate}
	sold, err := step.Run(t.Context(), booking.CompleteCommand{UserID: 7, BookingID: b.ID, Key: &key})
	if err != nil || !errors.Is(sold.Deferred, errDeaf) {
		t.Fatalf("complete: %v, deferred %v", err, sold.Deferred)
	}
	w.wantHeld(product, 1, 0)
	recall := func() {
		t.Helper()
		r, err := w.completeStep().Recall(t.Context(), key)
		if err != nil || r == nil || r.Result.Booking.Status != booking.Confirmed || r.Result.Deferred != nil {
			t.Fatalf("recall: %+v %v", r, err)
		}
	}
	recall()
	w.wantHeld(product, 0, 1)
	w.wantSound()
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	recall()
	w.wantHeld(product, 0, 0)
	w.reserve(7, product)
	recall()
	w.wantHeld(product, 1, 0)
	w.wantSound()
}

// sellToDeafGate sells a unit, and the gate still has it as held.
func (w *world) sellToDeafGate(user, product int64) booking.Booking {
	w.t.Helper()
	w.grant(user, "100000")
	b := w.register(w.reserve(user, product), points("100000"))
	step := w.completeStep()
	step.Gate = deaf{w.gate}
	r, err := step.Run(w.t.Context(), booking.CompleteCommand{UserID: user, BookingID: b.ID})
	if err != nil || !errors.Is(r.Deferred, errDeaf) {
		w.t.Fatalf("complete: %v, deferred %v", err, r.Deferred)
	}
	return b
}

func TestReconcileHealsWhatACrashLeft(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	sold := w.sellToDeafGate(7, product)
	gone := w.sellToDeafGate(8, product)
	open := w.reserve(9, product)
	cancel := w.cancelStep()
	cancel.Gate = deaf{w.gate}
	if err := w.gate.Confirm(t.Context(), gone.Hold(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := cancel.Run(t.Context(), booking.Cancellation{UserID: 8, BookingID: gone.ID}); err != nil {
		t.Fatal(err)
	}
	if err := w.gate.Release(t.Context(), open.Hold()); err != nil {
		t.Fatal(err)
	}
	breaches, err := w.admin().Audit(t.Context(), product)
	if err != nil || len(breaches) != 3 {
		t.Errorf("audit before: %v %v", breaches, err)
	}
	list, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || len(list) != 1 || !slices.Equal(list[0].Changed, []int64{7, 8, 9}) {
		t.Errorf("reconcile: %+v %v", list, err)
	}
	w.wantAvailable(product, 1)
	w.wantSound()
	again, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || len(again[0].Differed) != 0 {
		t.Errorf("reconcile again: %+v %v", again, err)
	}
	_, err = w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	var refused *booking.Error
	if !errors.As(err, &refused) || refused.Code != "ALREADY_PURCHASED" || refused.Members["bookingId"] != sold.ID {
		t.Errorf("reserve by the owner: %v", err)
	}
}

func TestRepeatedReserveHealsALostConfirm(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.sellToDeafGate(7, product)
	r, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrAlreadyPurchased) || r.Booking.ID != b.ID {
		t.Fatalf("reserve: %v", err)
	}
	w.wantSound()
}

func TestReconcileNeverDropsAHoldWithoutABooking(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.reserve(8, product)
	w.exec(`UPDATE booking SET status = 'FAILED', failure_code = 'HOLD_EXPIRED' WHERE product_id = $1`, product)
	list, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || len(list[0].Changed) != 0 {
		t.Errorf("reconcile: %+v %v", list, err)
	}
	w.wantAvailable(product, 0)
}

func TestStockAndStatusReachTheGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.reserve(7, product)
	if _, err := w.admin().AdjustStock(t.Context(), product, 2, "found two more"); err != nil {
		t.Fatal(err)
	}
	w.wantAvailable(product, 2)
	w.reserve(8, product)
	now := time.Now()
	draft := booking.ProductDraft{ID: product, Name: "Sea view", Price: amount("100000"), Status: "INACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.Add(240 * time.Hour), CheckOutAt: now.Add(264 * time.Hour)}
	if _, err := w.admin().PutProduct(t.Context(), draft); err != nil {
		t.Fatal(err)
	}
	_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 9, ProductID: product})
	if !errors.Is(err, booking.ErrProductNotFound) {
		t.Errorf("reserve of an inactive product: %v", err)
	}
	for _, change := range []struct {
		from, to time.Duration
		want     error
	}{
		{time.Hour, 2 * time.Hour, booking.ErrSaleNotOpen},
		{-2 * time.Hour, -time.Hour, booking.ErrSaleClosed},
		{-time.Hour, time.Hour, nil},
	} {
		draft.Status, draft.SaleStartAt, draft.CheckInAt = "ACTIVE", now.Add(change.from), now.Add(change.to)
		if _, err := w.admin().PutProduct(t.Context(), draft); err != nil {
			t.Fatal(err)
		}
		_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 10, ProductID: product})
		if !errors.Is(err, change.want) {
			t.Errorf("a sale from %v to %v: %v", change.from, change.to, err)
		}
	}
	w.wantSound()
}
