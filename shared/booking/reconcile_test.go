package booking_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"stayhold/shared/booking"
)

// counting is a gate that looks, after each correction, whether more is taken than
// there is.
type counting struct {
	booking.Gate
	over atomic.Int64 // corrections after which more was taken
}

func (g *counting) Correct(ctx context.Context, product int64, nonce string, list []booking.Correction) ([]int64, error) {
	changed, err := g.Gate.Correct(ctx, product, nonce, list)
	if o, lookErr := g.Occupancies(ctx, product); lookErr == nil && o[0].Held+o[0].Confirmed > o[0].Facts.Stock {
		g.over.Add(1)
	}
	return changed, err
}

// TestReconcileUnderLiveTraffic lets buyers come and go for points while the gate is
// not told what some of them did, or is told what they did not do, and reconcile runs
// without a pause. Every hold outlasts the test, so no place is given up by drift.
func TestReconcileUnderLiveTraffic(t *testing.T) {
	const stock, buyers, rounds = 4, 6, 12
	w := newWorld(t)
	product := w.product(stock)
	gate := &counting{Gate: w.gate}
	var all, repairs sync.WaitGroup
	var drifted, changed atomic.Int64
	for i := range buyers {
		c, user := w.clone(), int64(100+i)
		w.grant(user, "100000")
		all.Go(func() {
			for round := range rounds {
				c.visit(user, product, round, &drifted)
			}
		})
	}
	done := make(chan struct{})
	repairer := w.clone()
	gate.Gate = repairer.gate
	repairs.Go(func() {
		step := booking.Reconcile{Store: repairer.store, Gate: gate}
		for {
			r, err := step.Run(t.Context(), product)
			if err != nil {
				t.Errorf("reconcile: %v", err)
			}
			changed.Add(int64(len(r.Changed)))
			select {
			case <-done:
				return
			default:
			}
		}
	})
	all.Wait()
	close(done)
	repairs.Wait()
	if gate.over.Load() > 0 {
		t.Errorf("after %d corrections more units were taken than there are", gate.over.Load())
	}
	if drifted.Load() < buyers || changed.Load() == 0 {
		t.Errorf("%d drifts, %d repairs: nothing was proved", drifted.Load(), changed.Load())
	}
	w.deliver()
	w.reconciled(product)
	w.wantSound()
	t.Logf("%d drifts, %d places corrected", drifted.Load(), changed.Load())
}

// visit is one buyer's stay, with a gate that hears wrongly of some of it.
func (w *world) visit(user, product int64, round int, drifted *atomic.Int64) {
	r, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: user, ProductID: product})
	switch {
	case errors.Is(err, booking.ErrSoldOut), errors.Is(err, booking.ErrAlreadyPurchased), errors.Is(err, booking.ErrDuplicateReservation):
		return
	case err != nil:
		w.t.Errorf("reserve: %v", err)
		return
	}
	b := r.Booking
	hears := w.gatePort
	switch (int(user) + round) % 4 {
	case 0:
		hears = deaf{w.gate} // neither the sale nor the end reaches the gate
		drifted.Add(1)
	case 1: // the gate has it as sold before it is
		if err := w.gate.Confirm(w.t.Context(), b.Hold(), b.ID); err != nil {
			w.t.Error(err)
		}
		drifted.Add(1)
	}
	if _, err := (booking.Register{Store: w.storePort}).Run(w.t.Context(), booking.Registration{UserID: user, BookingID: b.ID, Set: points("100000")}); err != nil {
		w.t.Errorf("register: %v", err)
		return
	}
	complete := w.completeStep()
	complete.Gate = hears
	if _, err := complete.Run(w.t.Context(), booking.CompleteCommand{UserID: user, BookingID: b.ID}); err != nil {
		w.t.Errorf("complete: %v", err)
	}
	cancel := w.cancelStep()
	cancel.Gate = hears
	if _, err := cancel.Run(w.t.Context(), booking.Cancellation{UserID: user, BookingID: b.ID}); err != nil {
		w.t.Errorf("cancel: %v", err)
	}
}

// reconciled runs reconcile until it has nothing more to do.
func (w *world) reconciled(product int64) {
	w.t.Helper()
	for range 3 {
		list, err := w.admin().Reconcile(w.t.Context(), product)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(list[0].Differed) == 0 {
			return
		}
	}
	w.t.Error("reconcile comes to no end")
}

// TestReconcileAfterThePlacesWereLost empties the gate of places that the database has
// sold or holds, and lets others take the units: what is sold twice by the gate is
// refused by the database, and in the end both say the same.
func TestReconcileAfterThePlacesWereLost(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	for user := int64(7); user <= 10; user++ {
		w.grant(user, "100000")
	}
	sold := w.register(w.reserve(7, product), points("100000"))
	if _, err := w.complete(sold); err != nil {
		t.Fatal(err)
	}
	held := w.register(w.reserve(8, product), points("100000"))
	for _, b := range []booking.Booking{sold, held} {
		if err := w.gate.Release(t.Context(), b.Hold()); err != nil {
			t.Fatal(err)
		}
	}
	late := []booking.Booking{w.register(w.reserve(9, product), points("100000")), w.register(w.reserve(10, product), points("100000"))}
	list, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || !slices.Equal(list[0].Differed, []int64{7, 8}) || !slices.Equal(list[0].Changed, []int64{7}) {
		t.Errorf("reconcile: %+v %v", list, err) // the hold found no free unit
	}
	errs := make([]error, 3)
	for i, b := range append(late, held) {
		_, errs[i] = w.complete(b)
	}
	if count(errs, nil) != 1 || count(errs, booking.ErrSoldOut) != 2 {
		t.Errorf("three buyers complete on one unit: %v", errs)
	}
	w.deliver()
	w.reconciled(product)
	w.wantSound()
	w.wantAvailable(product, 0)
}

// TestReconcileWorksThroughManyPages has more places than one page, on both sides.
func TestReconcileWorksThroughManyPages(t *testing.T) {
	const places = 1200
	w := newWorld(t)
	product := w.product(places + 10)
	first := w.reserve(1, product) // warm
	w.exec(`INSERT INTO booking (user_id, product_id, total_amount, status, hold_token, hold_expires_at, check_in_at)
		SELECT 100 + n, $1, 5, 'INIT', md5(n::text), now() + interval '1 hour', now() + interval '1 day' FROM generate_series(1, $2::integer) AS n`, product, places)
	for n := int64(1); n <= places; n += 2 {
		ghost := stranger(5000+n, product) // the database knows nothing of it
		if _, err := w.gate.Place(t.Context(), ghost, w.holdTTL); err != nil {
			t.Fatal(err)
		}
		if err := w.gate.Confirm(t.Context(), ghost, n); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what the ghosts took is free only once they are gone
		list, err := w.admin().Reconcile(t.Context(), product)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d differed, %d changed", len(list[0].Differed), len(list[0].Changed))
	}
	w.reconciled(product)
	o, err := w.gate.Occupancies(t.Context(), product)
	if err != nil || o[0].Held != places+1 || o[0].Confirmed != 0 {
		t.Errorf("the gate has %+v %v beside booking %d", o, err, first.ID)
	}
}

// TestReconcileKeepsTheUnitOfAWronglyConfirmedPlace: between a place removed and its
// hold written, the unit would be anybody's.
func TestReconcileKeepsTheUnitOfAWronglyConfirmedPlace(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.reserve(7, product)
	if err := w.gate.Confirm(t.Context(), b.Hold(), b.ID); err != nil {
		t.Fatal(err)
	}
	list, err := w.admin().Reconcile(t.Context(), product)
	if err != nil || !slices.Equal(list[0].Changed, []int64{7}) {
		t.Errorf("reconcile: %+v %v", list, err)
	}
	_, err = w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 8, ProductID: product})
	if !errors.Is(err, booking.ErrSoldOut) {
		t.Errorf("somebody else's reserve: %v", err)
	}
	w.wantSound()
}
