package booking_test

import (
	"context"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// wrongClock is that of a function, ahead or behind.
type wrongClock struct{ by time.Duration }

func (c wrongClock) Now() time.Time { return time.Now().Add(c.by) }

// aheadGate is a gate in a world whose true time is ten minutes ahead of ours.
type aheadGate struct{ booking.Gate }

func (g aheadGate) Place(ctx context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	p, err := g.Gate.Place(ctx, h, ttl)
	p.Deadline = p.Deadline.Add(10 * time.Minute)
	return p, err
}

// aheadStore is a database in that world.
type aheadStore struct{ booking.Store }

func (s aheadStore) Complete(ctx context.Context, c booking.Completion) (booking.Result, error) {
	r, err := s.Store.Complete(ctx, c)
	r.Booking.ReadAt = r.Booking.ReadAt.Add(10 * time.Minute)
	return r, err
}

func TestOurClockDecidesNothing(t *testing.T) {
	w := newWorld(t)
	product := w.product(4)
	for user, by := range map[int64]time.Duration{7: 10 * time.Minute, 8: -10 * time.Minute} {
		b := w.register(w.reserve(user, product), card("100000"))
		step := w.approveStep()
		step.Clock = wrongClock{by}
		r, err := step.Run(t.Context(), booking.ApproveCommand{UserID: user, BookingID: b.ID, PaymentKey: "ok-" + b.HoldToken})
		if err != nil || r.Booking.Status != booking.PaymentPending {
			t.Errorf("approve with a clock off by %v: %v", by, err)
		}
	}

	w.gatePort = aheadGate{w.gate}
	if b := w.reserve(9, product); time.Until(b.HoldExpiresAt) < w.holdTTL+9*time.Minute {
		t.Errorf("the gate's deadline was not taken: %v", b.HoldExpiresAt)
	}
	w.plain()

	w.grant(10, "100000")
	b := w.register(w.reserve(10, product), points("100000"))
	w.stage.lapse(b)
	w.storePort = aheadStore{w.store}
	r, err := w.complete(b)
	if err != nil || time.Until(r.Booking.HoldExpiresAt) < w.window+9*time.Minute {
		t.Errorf("the hold was not taken again by the database's clock: %v, %v", r.Booking.HoldExpiresAt, err)
	}
}
