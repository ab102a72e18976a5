package booking_test

import (
	"errors"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const lockBooking = `SELECT FROM booking WHERE id = $1 FOR UPDATE`

// collide lets runs come to one locked row one after the other, sees each of them wait
// there, and then lets them go in that order.
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
		postgrestest.AwaitWaiting(w.t, w.databaseURL, i+1)
	}
	release()
	for range runs {
		<-done
	}
	return errs
}

// meeting is two acts that come to one row at the same time. before: what the booking
// has been through since it was registered.
type meeting struct {
	key    string
	before []act
	acts   [2]act
	lock   string              // of the row; the booking's when empty
	of     func(*stay) int64   // the row's id; the booking's when nil
	after  func(*world, *stay) // what must be true beside the invariants; may be nil
}

const (
	lockPoints  = `SELECT FROM user_point WHERE user_id = $1 FOR UPDATE`
	lockProduct = `SELECT FROM product WHERE id = $1 FOR UPDATE`
)

func ofUser(s *stay) int64    { return s.user }
func ofProduct(s *stay) int64 { return s.product }

var (
	paid     = []act{doApprove}
	refunded = []act{doApprove, doCancel, doLoseMessages}
)

var meetings = map[string]meeting{
	"complete, complete":                {before: paid, acts: [2]act{doComplete, doComplete}},
	"complete, cancel":                  {before: paid, acts: [2]act{doComplete, doCancel}},
	"complete, sweep":                   {before: []act{doApprove, doLapse}, acts: [2]act{doComplete, doSweepOne}},
	"complete, compensate":              {before: paid, acts: [2]act{doComplete, doCompensateOne}},
	"complete, compensate of unknown":   {key: "lost-", before: paid, acts: [2]act{doComplete, doCompensateOne}},
	"complete, operator's cancel":       {before: paid, acts: [2]act{doComplete, doAdminCancel}},
	"failing complete, compensate":      {before: []act{doApprove, doGrant("-49999")}, acts: [2]act{doComplete, doCompensateOne}},
	"failing complete, cancel":          {before: []act{doApprove, doGrant("-49999")}, acts: [2]act{doComplete, doCancel}},
	"cancel, cancel":                    {before: paid, acts: [2]act{doCancel, doCancel}},
	"cancel, sweep":                     {before: []act{doApprove, doLapse}, acts: [2]act{doCancel, doSweepOne}},
	"cancel, compensate":                {before: paid, acts: [2]act{doCancel, doCompensateOne}},
	"cancel, resolve":                   {key: "lost-", before: paid, acts: [2]act{doCancel, doCompensateOne}},
	"cancel of a sale, compensate":      {before: []act{doApprove, doComplete}, acts: [2]act{doCancel, doCompensateOne}},
	"approve, approve":                  {acts: [2]act{doApprove, doApprove}, after: chargedOnce},
	"approve, approve of unknown":       {key: "lost-", before: paid, acts: [2]act{doApprove, doApprove}, after: chargedOnce},
	"approve, cancel":                   {acts: [2]act{doApprove, doCancel}},
	"approve, sweep":                    {before: []act{doLapse}, acts: [2]act{doApprove, doSweepOne}},
	"approve, compensate":               {acts: [2]act{doApprove, doCompensateOne}, after: chargedOnce},
	"approve, resolve":                  {key: "lost-", before: paid, acts: [2]act{doApprove, doCompensateOne}, after: chargedOnce},
	"register, register":                {acts: [2]act{doRegister, doRegisterPoints}},
	"register, approve":                 {acts: [2]act{doRegisterPoints, doApprove}},
	"register, cancel":                  {acts: [2]act{doRegisterPoints, doCancel}},
	"register, sweep":                   {before: []act{doLapse}, acts: [2]act{doRegisterPoints, doSweepOne}},
	"register, compensate":              {acts: [2]act{doRegisterPoints, doCompensateOne}},
	"reserve, sweep of the lapsed":      {before: []act{doLapse}, acts: [2]act{doReserve, doSweepOne}},
	"refund, refund":                    {before: refunded, acts: [2]act{doCompensateOne, doCompensateOne}, after: refundedOnce},
	"refund, sweep":                     {before: refunded, acts: [2]act{doCompensateOne, doSweep}, after: refundedOnce},
	"refund, redrive":                   {before: refunded, acts: [2]act{doCompensateOne, doRedrive}, after: refundedOnce},
	"resolve, resolve":                  {key: "lost-", before: []act{doApprove, doLoseMessages}, acts: [2]act{doCompensateOne, doCompensateOne}},
	"resolve, sweep":                    {key: "lost-", before: []act{doApprove, doLoseMessages}, acts: [2]act{doCompensateOne, doSweep}},
	"sweep, sweep":                      {before: []act{doApprove, doLapse}, acts: [2]act{doSweep, doSweep}, after: refundedOnce},
	"points taken, complete":            {before: paid, acts: [2]act{doGrant("-49999"), doComplete}, lock: lockPoints, of: ofUser},
	"stock taken, complete":             {before: paid, acts: [2]act{doAdjustStock(-2), doComplete}, lock: lockProduct, of: ofProduct},
	"product changed, complete":         {before: paid, acts: [2]act{doRenameProduct, doComplete}, lock: lockProduct, of: ofProduct},
	"product changed, cancel of a sale": {before: []act{doApprove, doComplete}, acts: [2]act{doRenameProduct, doCancel}, lock: lockProduct, of: ofProduct},
	"product changed, another reserve":  {acts: [2]act{doRenameProduct, doReserveBeside}, lock: lockProduct, of: ofProduct},
}

func doSweepOne(w *world, s *stay) error {
	_, err := w.storePort.Lapse(w.t.Context(), s.booking.ID, 0)
	return err
}

// doCompensateOne is a message for the booking, whoever sent it.
func doCompensateOne(w *world, s *stay) error {
	return w.compensateStep().Run(w.t.Context(), booking.Message{Task: booking.TaskCompensate, BookingID: s.booking.ID})
}

func doRegisterPoints(w *world, s *stay) error {
	_, err := booking.Register{Store: w.storePort}.Run(w.t.Context(),
		booking.Registration{UserID: s.user, BookingID: s.booking.ID, Set: points(s.set.Sum().String())})
	return err
}

func doReserveBeside(w *world, s *stay) error {
	return doReserve(w, &stay{user: w.nextUser(), product: s.product})
}

func chargedOnce(w *world, s *stay) {
	w.t.Helper()
	for _, p := range w.read(s.booking).Payments {
		if p.Method.ByGateway() && w.simulator.Confirms(p.OrderID) != 1 {
			w.t.Errorf("order %s was asked to be charged %d times", p.OrderID, w.simulator.Confirms(p.OrderID))
		}
	}
}

func refundedOnce(w *world, s *stay) {
	w.t.Helper()
	for _, p := range w.read(s.booking).Payments {
		if p.Method.ByGateway() && w.simulator.Cancels(p.OrderID) != 1 {
			w.t.Errorf("order %s was asked back %d times", p.OrderID, w.simulator.Cancels(p.OrderID))
		}
	}
}

func TestStepsThatMeetOnARow(t *testing.T) {
	for name, m := range meetings {
		t.Run(name, func(t *testing.T) {
			w := onServers(t)
			if m.key == "" {
				m.key = "ok-"
			}
			for _, order := range [][2]int{{0, 1}, {1, 0}} {
				s := w.buyer(scenario{set: mixed(), key: m.key})
				for _, act := range append([]act{doReserve, doRegister}, m.before...) {
					if err := act(w, s); err != nil && !errors.Is(err, errPending) {
						t.Fatal(err)
					}
				}
				lock, id := lockBooking, s.booking.ID
				if m.of != nil {
					lock, id = m.lock, m.of(s)
				}
				first, second := *s, *s
				errs := w.collide(lock, id,
					func(w *world) error { return m.acts[order[0]](w, &first) },
					func(w *world) error { return m.acts[order[1]](w, &second) })
				t.Logf("%v: %v", order, errs)
				if errors.Is(errs[0], booking.ErrInternal) || errors.Is(errs[1], booking.ErrInternal) {
					t.Errorf("answered %v", errs)
				}
				w.settle(s, name)
				w.judge(s, false, name)
				if m.after != nil {
					m.after(w, s)
				}
				w.stage.retire(s.product)
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
	errs := w.collide(lockProduct, product, runs...)
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
	errs := w.collide(lockProduct, product,
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
