package booking_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// afterList is a store that lets something happen once the sweep has its list.
type afterList struct {
	booking.Store
	listed func()
}

func (s afterList) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	ids, err := s.Store.LapsedBookings(ctx, grace, limit)
	s.listed()
	return ids, err
}

func TestSweepLooksAgainAtTheDeadline(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	w.stage.lapse(b)
	step := w.sweepStep()
	approved := false
	step.Store = afterList{w.store, func() {
		if approved {
			return
		}
		approved = true
		if _, err := w.approve(b, "ok-1"); err != nil {
			t.Error(err)
		}
	}}
	report, err := step.Run(t.Context())
	if err != nil || report.Lapsed != 0 {
		t.Errorf("swept: %+v %v", report, err)
	}
	w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess)
	if _, err := w.complete(b); err != nil {
		t.Error(err)
	}
	w.wantSound()
}

// expired is a store with rows to purge, of which each batch takes some; what calls the gateway uses up the time.
type expired struct {
	booking.Store
	left    int64
	batches int
	hang    func()
}

func (s *expired) Purge(ctx context.Context, limit int) (int64, error) {
	n := min(s.left, int64(limit))
	s.left -= n
	s.batches++
	return n, ctx.Err()
}

func (s *expired) DueRefunds(ctx context.Context, _ int) ([]int64, error) {
	s.hang()
	return nil, ctx.Err()
}

func TestWhatExpiresGoesThoughTheGatewayHangs(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := &expired{Store: w.store, left: 42_000, hang: cancel}
	step := w.sweepStep()
	step.Store = store
	report, err := step.Run(ctx)
	if !errors.Is(err, context.Canceled) || report.Purged != 42_000 || store.left != 0 {
		t.Errorf("swept: %+v %v, %d rows are left", report, err, store.left)
	}
}

func TestPurgingEndsWithItsShareOfTheTime(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	rounds, first := 0, 0
	store := &expired{Store: w.store, left: math.MaxInt64}
	store.hang = func() {
		switch rounds++; rounds {
		case 1:
			first = store.batches
		case 2:
			if store.batches != first+1 {
				t.Errorf("%d batches in the second round", store.batches-first)
			}
			cancel()
		}
	}
	step := w.sweepStep()
	step.Store = store
	if report, err := step.Run(ctx); !errors.Is(err, context.Canceled) || rounds != 2 || first < 2 {
		t.Errorf("swept: %+v %v, %d rounds, %d batches in the first", report, err, rounds, first)
	}
}

func TestOneBadRowKeepsNobodyWaiting(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	bad, worse := w.reserve(7, product), w.reserve(10, w.product(1))
	w.stage.lapse(worse)
	others := []booking.Booking{w.reserve(8, product), w.reserve(9, product)}
	for i, b := range append([]booking.Booking{bad}, others...) {
		w.stage.lapse(b)
		w.exec(`UPDATE booking SET hold_expires_at = now() - $2 * interval '1 minute' WHERE id = $1`, b.ID, 9-i)
	}
	w.exec(`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'`)
	w.exec(`CREATE TRIGGER broken BEFORE UPDATE ON booking FOR EACH ROW WHEN (OLD.user_id IN (7, 10)) EXECUTE FUNCTION broken()`)
	report, err := w.sweepStep().Run(t.Context())
	if !errors.Is(err, booking.ErrInternal) || report.Lapsed != 2 || len(report.Faults) != 2 { // one for each
		t.Errorf("swept: %+v %v", report, err)
	}
	for _, b := range others {
		w.wantStatus(b, booking.Failed)
	}
	w.wantStatus(bad, booking.Init)
}

func TestSweepsAtOnce(t *testing.T) {
	w := newWorld(t)
	product := w.product(6)
	var lapsed, cancelled []booking.Booking
	for user := int64(100); user < 106; user++ {
		b := w.register(w.reserve(user, product), card("100000"))
		if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
			t.Fatal(err)
		}
		if user%2 == 0 {
			w.stage.lapse(b)
			lapsed = append(lapsed, b)
			continue
		}
		if _, err := w.cancel(b); err != nil {
			t.Fatal(err)
		}
		cancelled = append(cancelled, b)
	}
	w.queue.take()
	errs := atOnce(w, 4, func(w *world, _ int) error {
		_, err := w.sweepStep().Run(w.t.Context())
		return err
	})
	if count(errs, nil) != len(errs) {
		t.Errorf("sweeps: %v", errs)
	}
	w.sweep()
	for _, b := range lapsed {
		w.wantStatus(b, booking.Failed, booking.PaymentCancelled)
	}
	for _, b := range cancelled {
		w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	}
	for _, c := range w.simulator.Ledger().Charges {
		if !c.Cancelled || c.Cancels != 1 {
			t.Errorf("charge %+v", c)
		}
	}
	w.wantAvailable(product, 6)
	w.wantSound()
}

func TestRegisterBesideTheSweep(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		s := &stay{user: w.nextUser(), product: product, set: card("100000")}
		if err := doReserve(w, s); err != nil {
			t.Fatal(err)
		}
		w.stage.lapse(s.booking)
		acts := [2]act{doRegister, doSweepOne}
		errs := w.collide(lockBooking, s.booking.ID,
			func(w *world) error { one := *s; return acts[order[0]](w, &one) },
			func(w *world) error { two := *s; return acts[order[1]](w, &two) })
		if n := count(errs, nil) + count(errs, booking.ErrInvalidState); n != 2 {
			t.Errorf("%v: %v", order, errs)
		}
		got := w.wantStatus(s.booking, booking.Failed)
		for _, p := range got.Payments {
			if p.Status != booking.PaymentCancelled {
				t.Errorf("a dead booking's payment: %+v", p)
			}
		}
	}
	w.wantSound()
}

// slowGate takes its time over each product.
type slowGate struct {
	booking.Gate
	takes  time.Duration
	looked []int64
}

func (s *slowGate) Occupancies(ctx context.Context, products ...int64) ([]booking.Occupancy, error) {
	time.Sleep(s.takes)
	s.looked = append(s.looked, products...)
	return s.Gate.Occupancies(ctx, products...)
}

// slowGateway takes its time over each refund.
type slowGateway struct {
	booking.Gateway
	takes time.Duration
}

func (s slowGateway) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	time.Sleep(s.takes)
	return s.Gateway.Cancel(ctx, c, reason)
}

// TestASweepGoesOnWhileItHasTime gives it more products, and more refunds, than its first round has
// time for.
func TestASweepGoesOnWhileItHasTime(t *testing.T) {
	t.Run("products", func(t *testing.T) {
		w := newWorld(t)
		for range 20 {
			w.product(1)
		}
		step, gate := w.sweepStep(), &slowGate{Gate: w.gate, takes: 40 * time.Millisecond}
		step.Reconcile.Gate = gate
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		report, err := step.Run(ctx)
		if err != nil || report.Unfinished || len(gate.looked) != 20 {
			t.Errorf("swept: %+v %v, %d looks at 20 products", report, err, len(gate.looked))
		}
	})
	t.Run("refunds", func(t *testing.T) {
		w := newWorld(t)
		product := w.product(8)
		for user := int64(1); user <= 8; user++ {
			b := w.register(w.reserve(user, product), card("100000"))
			if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
				t.Fatal(err)
			}
			if _, err := w.cancel(b); err != nil {
				t.Fatal(err)
			}
		}
		step := w.sweepStep()
		step.Gateway = slowGateway{w.gateway, 300 * time.Millisecond}
		ctx, cancel := context.WithTimeout(t.Context(), 4200*time.Millisecond)
		defer cancel()
		if report, err := step.Run(ctx); err != nil || report.Unfinished || report.Settled != 8 {
			t.Errorf("swept: %+v %v", report, err)
		}
		w.wantNet("0.00")
	})
}

// TestNoProductIsAlwaysTheLast begins with each of three products in turn, and comes to the rest of them.
func TestNoProductIsAlwaysTheLast(t *testing.T) {
	w := newWorld(t)
	ids := []int64{w.product(1), w.product(1), w.product(1)}
	for first := range ids {
		step, gate := w.sweepStep(), &slowGate{Gate: w.gate}
		step.Reconcile.Gate = gate
		step.First = func(n int) int {
			if n != len(ids) {
				t.Errorf("one of %d", n)
			}
			return first
		}
		if _, err := step.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if want := append(ids[first:len(ids):len(ids)], ids[:first]...); !slices.Equal(gate.looked, want) {
			t.Errorf("looked at %v, want %v", gate.looked, want)
		}
	}
}

// forgetful is a store that cannot record what became of a refund.
type forgetful struct{ booking.Store }

func (forgetful) EndRefund(context.Context, booking.RefundIntent, bool, string) error {
	return booking.ErrInternal
}

// TestASweepThatGaveUpIsUnfinished has the first of two refunds fail, and take all of their time.
func TestASweepThatGaveUpIsUnfinished(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	for user := int64(1); user <= 2; user++ {
		b := w.register(w.reserve(user, product), card("100000"))
		if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
			t.Fatal(err)
		}
		if _, err := w.cancel(b); err != nil {
			t.Fatal(err)
		}
	}
	step := w.sweepStep()
	step.Store, step.Gateway = forgetful{w.store}, slowGateway{w.gateway, 1200 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if report, err := step.Run(ctx); !errors.Is(err, booking.ErrInternal) || report.Settled != 0 || !report.Unfinished {
		t.Errorf("swept: %+v %v", report, err)
	}
}
