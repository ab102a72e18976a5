package booking_test

import (
	"context"
	"testing"

	"stayhold/shared/booking"
)

// afterRead is a store that lets something happen once, when the places of a product
// have been read.
type afterRead struct {
	booking.Store
	read func()
	done *bool
}

func (s afterRead) GatePlaces(ctx context.Context, product int64) (booking.Facts, []booking.Place, error) {
	defer s.once()
	return s.Store.GatePlaces(ctx, product)
}

func (s afterRead) PlacesOf(ctx context.Context, product int64, users []int64) ([]booking.Place, error) {
	defer s.once()
	return s.Store.PlacesOf(ctx, product, users)
}

func (s afterRead) once() {
	if !*s.done {
		*s.done = true
		s.read()
	}
}

// snapshotThenCancel gives the steps a store whose first reading of a product is out
// of date when it is used: the booking has been cancelled since.
func (w *world) snapshotThenCancel(b booking.Booking) {
	w.storePort = afterRead{w.store, func() {
		step := booking.Cancel{Store: w.store, Gate: w.gate, Queue: w.queue}
		r, err := step.Run(w.t.Context(), booking.Cancellation{UserID: b.UserID, BookingID: b.ID})
		if err != nil || r.Deferred != nil {
			w.t.Errorf("cancel: %v, deferred %v", err, r.Deferred)
		}
	}, new(bool)}
}

func TestWarmingSeesWhatItsSnapshotMissed(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.reserve(7, product)
	w.gate = w.openGate(w.redisURL, w.prefix+"flushed:")
	w.plain()
	w.snapshotThenCancel(b)
	_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 8, ProductID: product})
	if err != nil {
		t.Errorf("reserve of the unit that came free while the gate was warmed: %v", err)
	}
	w.wantHeld(product, 1, 0)
	w.wantSound()
}

func TestReconcileSeesWhatItsSnapshotMissed(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.reserve(7, product)
	if err := w.gate.Release(t.Context(), b.Hold()); err != nil { // the gate has lost it
		t.Fatal(err)
	}
	w.snapshotThenCancel(b)
	list, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || len(list) != 1 || len(list[0].Changed) != 0 {
		t.Errorf("reconcile: %+v %v", list, err)
	}
	w.wantHeld(product, 0, 0)
	w.wantSound()
}
