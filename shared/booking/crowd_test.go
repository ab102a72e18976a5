package booking_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"stayhold/shared/booking"
)

const lockReserves = `SELECT pg_advisory_xact_lock(hashint8extended($1, 1))`

func TestReservesOfOneUserMeet(t *testing.T) {
	w := newWorld(t)
	product := w.product(5)
	runs := make([]func(*world) error, 8)
	for i := range runs {
		runs[i] = func(w *world) error {
			_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
			return err
		}
	}
	errs := w.collide(lockReserves, 7, runs...)
	if count(errs, nil) != 1 || count(errs, booking.ErrDuplicateReservation) != len(runs)-1 {
		t.Errorf("reserve: %v", errs)
	}
	w.wantAvailable(product, 4)
	w.wantSound()
}

func TestLastUnitAtTheGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	w.reserve(1, product)
	w.reserve(2, product)
	errs := atOnce(w, 16, func(w *world, i int) error {
		_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: int64(100 + i), ProductID: product})
		return err
	})
	if count(errs, nil) != 1 || count(errs, booking.ErrSoldOut) != 15 {
		t.Errorf("reserve: %v", errs)
	}
	w.wantAvailable(product, 0)
	w.wantSound()
}

// crowd is a gate at which everybody who finds it cold waits for the others before he
// warms it. It counts who seeded it.
type crowd struct {
	booking.Gate
	absent *sync.WaitGroup // those who have not come yet
	first  *sync.Once      // this caller's coming
	seeded *atomic.Int64
}

func (g crowd) MarkWarm(ctx context.Context, product int64, nonce string) (bool, error) {
	g.first.Do(func() {
		g.absent.Done()
		g.absent.Wait()
	})
	return g.Gate.MarkWarm(ctx, product, nonce)
}

func (g crowd) Seed(ctx context.Context, nonce string, f booking.Facts, p []booking.Place) (bool, error) {
	seeded, err := g.Gate.Seed(ctx, nonce, f, p)
	if seeded {
		g.seeded.Add(1)
	}
	return seeded, err
}

// TestFiftyWarmOneGate lets fifty buyers all find the gate cold before the first of
// them warms it. None has touched a place yet, so that no mark is taken away.
func TestFiftyWarmOneGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(10)
	var absent sync.WaitGroup
	var seeded atomic.Int64
	absent.Add(50)
	errs := atOnce(w, 50, func(w *world, i int) error {
		step, gate := w.reserveStep(), crowd{w.gate, &absent, &sync.Once{}, &seeded}
		defer gate.first.Do(absent.Done) // who failed on the way keeps nobody waiting
		step.Gate = gate
		_, err := step.Run(w.t.Context(), booking.ReserveCommand{UserID: int64(100 + i), ProductID: product})
		return err
	})
	if count(errs, nil) != 10 || count(errs, booking.ErrSoldOut) != 40 {
		t.Errorf("reserve: %v", errs)
	}
	if n := seeded.Load(); n != 1 {
		t.Errorf("the gate was seeded %d times", n)
	}
	w.wantAvailable(product, 0)
	w.wantSound()
}

// snapshot is a store whose reader of places keeps what he read in his hands until he
// is let go.
type snapshot struct {
	booking.Store
	read, release chan struct{}
	once          *sync.Once
}

func (s snapshot) GatePlaces(ctx context.Context, product int64) (booking.Facts, []booking.Place, error) {
	facts, places, err := s.Store.GatePlaces(ctx, product)
	s.once.Do(func() {
		close(s.read)
		<-s.release
	})
	return facts, places, err
}

// TestColdGateIsWarmedAroundAStep has a buyer read the database to warm the gate, then
// lets another's step commit and tell the gate, and only then lets the first seed it.
// An old snapshot must not bring back what the step ended, nor lose what it made.
func TestColdGateIsWarmedAroundAStep(t *testing.T) {
	for name, c := range map[string]struct {
		step      func(*world, booking.Booking) (booking.Result, error)
		available int64
		again     error // what the step's buyer is told who reserves again
	}{
		"complete": {(*world).complete, 1, booking.ErrAlreadyPurchased},
		"cancel":   {(*world).cancel, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			product := w.product(3)
			w.grant(7, "100000")
			b := w.register(w.reserve(7, product), points("100000"))
			w.stage.forget(product)

			other := w.clone()
			held := snapshot{other.store, make(chan struct{}), make(chan struct{}), &sync.Once{}}
			warmed := make(chan error)
			go func() {
				step := other.reserveStep()
				step.Store = held
				_, err := step.Run(t.Context(), booking.ReserveCommand{UserID: 8, ProductID: product})
				warmed <- err
			}()
			<-held.read
			r, err := c.step(w, b)
			if err != nil || r.Deferred != nil {
				t.Errorf("%s: %v, deferred %v", name, err, r.Deferred)
			}
			close(held.release)
			if err := <-warmed; err != nil {
				t.Errorf("reserve of the warmer: %v", err)
			}
			w.wantAvailable(product, c.available)
			w.wantSound()
			if _, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product}); !errors.Is(err, c.again) {
				t.Errorf("reserve again: %v", err)
			}
			w.wantSound()
		})
	}
}
