package booking_test

import (
	"context"
	"errors"
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
	w.lapse(b)
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

func TestOneBadRowKeepsNobodyWaiting(t *testing.T) {
	w := newWorld(t)
	product := w.product(3)
	bad := w.reserve(7, product)
	others := []booking.Booking{w.reserve(8, product), w.reserve(9, product)}
	for i, b := range append([]booking.Booking{bad}, others...) {
		w.lapse(b)
		w.exec(`UPDATE booking SET hold_expires_at = now() - $2 * interval '1 minute' WHERE id = $1`, b.ID, 9-i)
	}
	w.exec(`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'`)
	w.exec(`CREATE TRIGGER broken BEFORE UPDATE ON booking FOR EACH ROW WHEN (OLD.user_id = 7) EXECUTE FUNCTION broken()`)
	report, err := w.sweepStep().Run(t.Context())
	if !errors.Is(err, booking.ErrInternal) || report.Lapsed != 2 || len(report.Faults) == 0 {
		t.Errorf("swept: %+v %v", report, err)
	}
	for _, b := range others {
		w.wantStatus(b, booking.Failed)
	}
	w.wantStatus(bad, booking.Init)
}
