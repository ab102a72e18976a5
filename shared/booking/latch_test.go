package booking_test

import (
	"errors"
	"fmt"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const lockBooking = `SELECT FROM booking WHERE id = $1 FOR UPDATE`

// collide lets runs come to one locked row, sees every one of them wait there, and
// then lets them go.
func (w *world) collide(lock string, id int64, runs ...func(w *world) error) []error {
	w.t.Helper()
	release := postgrestest.Lock(w.t, w.databaseURL, lock, id)
	errs := make([]error, len(runs))
	done := make(chan struct{})
	for i, run := range runs {
		c := w.clone()
		go func() {
			errs[i] = run(c)
			done <- struct{}{}
		}()
	}
	postgrestest.AwaitWaiting(w.t, w.databaseURL, len(runs))
	release()
	for range runs {
		<-done
	}
	return errs
}

// Steps that meet on one booking that is held, registered and, where paid, charged.
var meetings = map[string]struct {
	paid   bool
	lapsed bool
	acts   [2]act
}{
	"complete and complete":           {true, false, [2]act{doComplete, doComplete}},
	"complete and cancel":             {true, false, [2]act{doComplete, doCancel}},
	"complete and sweep":              {true, true, [2]act{doComplete, doSweepOne}},
	"cancel and cancel":               {true, false, [2]act{doCancel, doCancel}},
	"cancel and sweep":                {true, true, [2]act{doCancel, doSweepOne}},
	"approve and approve":             {false, false, [2]act{doApprove, doApprove}},
	"approve and cancel":              {false, false, [2]act{doApprove, doCancel}},
	"approve and sweep":               {false, true, [2]act{doApprove, doSweepOne}},
	"register and register":           {false, false, [2]act{doRegister, doRegisterPoints}},
	"register and approve":            {false, false, [2]act{doRegisterPoints, doApprove}},
	"reserve and sweep of the lapsed": {false, true, [2]act{doReserve, doSweepOne}},
}

func doSweepOne(w *world, s *stay) error {
	_, err := w.storePort.Lapse(w.t.Context(), s.booking.ID, 0)
	return err
}

func doRegisterPoints(w *world, s *stay) error {
	_, err := booking.Register{Store: w.storePort}.Run(w.t.Context(),
		booking.Registration{UserID: s.user, BookingID: s.booking.ID, Set: points(s.set.Sum().String())})
	return err
}

func TestStepsThatMeetOnABooking(t *testing.T) {
	for name, m := range meetings {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, order := range [][2]int{{0, 1}, {1, 0}} {
				s := &stay{user: w.nextUser(), product: w.priced(2, amount("50000")), set: both("20000", booking.Card, "30000")}
				s.key = "ok-" + fmt.Sprint(s.user)
				w.grant(s.user, "50000")
				for _, act := range []act{doReserve, doRegister} {
					if err := act(w, s); err != nil {
						t.Fatal(err)
					}
				}
				if m.paid {
					if err := doApprove(w, s); err != nil {
						t.Fatal(err)
					}
				}
				if m.lapsed {
					w.lapse(s.booking)
				}
				held := *s
				errs := w.collide(lockBooking, s.booking.ID,
					func(w *world) error { one := held; return m.acts[order[0]](w, &one) },
					func(w *world) error { two := held; return m.acts[order[1]](w, &two) })
				t.Logf("%v: %v", order, errs)
				if errors.Is(errs[0], booking.ErrInternal) || errors.Is(errs[1], booking.ErrInternal) {
					t.Errorf("answered %v", errs)
				}
				for range 2 {
					w.deliver()
					w.timePasses(s)
					w.sweepQuietly()
				}
				w.judge(s, false, name)
				w.retire(s)
			}
		})
	}
}

func TestLastUnitOfStockIsSoldOnce(t *testing.T) {
	w := newWorld(t)
	product := w.product(8)
	bookings := make([]booking.Booking, 8)
	for i := range bookings {
		w.grant(int64(100+i), "100000")
		bookings[i] = w.register(w.reserve(int64(100+i), product), points("100000"))
	}
	if _, err := w.admin().AdjustStock(t.Context(), product, -7, "a flood"); err != nil {
		t.Fatal(err)
	}
	runs := make([]func(*world) error, len(bookings))
	for i, b := range bookings {
		runs[i] = func(w *world) error {
			_, err := w.complete(b)
			return err
		}
	}
	errs := w.collide(`SELECT FROM product WHERE id = $1 FOR UPDATE`, product, runs...)
	if count(errs, nil) != 1 || count(errs, booking.ErrSoldOut) != 7 {
		t.Errorf("complete: %v", errs)
	}
	w.deliver()
	w.wantSound()
}

func TestStockIsAdjustedUnderACompletion(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, product), points("100000"))
	errs := w.collide(`SELECT FROM product WHERE id = $1 FOR UPDATE`, product,
		func(w *world) error {
			_, err := w.complete(b)
			return err
		},
		func(w *world) error {
			_, err := w.admin().AdjustStock(w.t.Context(), product, -1, "a burst pipe")
			return err
		})
	sold := errs[0] == nil && errors.Is(errs[1], booking.ErrInvalidState)
	lowered := errors.Is(errs[0], booking.ErrSoldOut) && errs[1] == nil
	if sold == lowered {
		t.Errorf("complete and adjust-stock: %v", errs)
	}
	w.deliver()
	w.wantSound()
}
