package booking_test

import (
	"errors"
	"fmt"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// An act is one invocation of a buyer, the queue, the schedule or an operator, or what
// happens around them; its error is the answer that is seen. An act that calls no port
// cannot die.
type act func(w *world, s *stay) error

var errPending = errors.New("202: the gateway's answer is not known")

func doReserve(w *world, s *stay) error {
	r, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: s.user, ProductID: s.product})
	switch {
	case err == nil:
		s.booking = r.Booking
	case errors.Is(err, booking.ErrDuplicateReservation):
		s.booking, err = r.Booking, nil // a lost reply: the answer names the caller's own booking
	}
	return err
}

func doRegister(w *world, s *stay) error {
	_, err := booking.Register{Store: w.storePort}.Run(w.t.Context(), booking.Registration{UserID: s.user, BookingID: s.booking.ID, Set: s.set})
	return err
}

func doApprove(w *world, s *stay) error {
	r, err := w.approve(s.booking, s.key)
	if err == nil && r.Pending {
		return errPending
	}
	return err
}

func doComplete(w *world, s *stay) error {
	_, err := w.complete(s.booking)
	return err
}

func doCancel(w *world, s *stay) error {
	_, err := w.cancel(s.booking)
	return err
}

// doAnotherCard is the buyer's next try, with a card that works.
func doAnotherCard(w *world, s *stay) error {
	s.key = fmt.Sprintf("ok-%d-again", s.user)
	return doRegister(w, s)
}

// doDieAtTheCharge is a process that dies while the gateway charges.
func doDieAtTheCharge(w *world, s *stay) error {
	dying := w.dying(&cutter{at: 3, fate: bookingtest.DiesAfter}) // BeginApproval, Ensure, the charge
	return doApprove(dying, s)
}

// doCompensate is one batch of the queue. What fails is not acknowledged, and comes
// again.
func doCompensate(w *world, _ *stay) error {
	var failed error
	for _, m := range w.queue.take() {
		if err := w.compensateStep().Run(w.t.Context(), m); err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
			failed = errors.Join(failed, err, w.queue.Send(w.t.Context(), m))
		}
	}
	return failed
}

func doSweep(w *world, _ *stay) error {
	_, err := w.sweepStep().Run(w.t.Context())
	return err
}

func doReconcile(w *world, s *stay) error {
	_, err := w.admin().Reconcile(w.t.Context(), s.product)
	return err
}

func doRenameProduct(w *world, s *stay) error {
	now := time.Now()
	_, err := w.admin().PutProduct(w.t.Context(), booking.ProductDraft{
		ID: s.product, Name: "Sea view, renewed", Price: s.set.Sum(), Status: "ACTIVE",
		SaleStartAt: now.Add(-2 * time.Hour), CheckInAt: now.Add(241 * time.Hour), CheckOutAt: now.Add(264 * time.Hour),
	})
	return err
}

func doAdjustStock(delta int64) act {
	return func(w *world, s *stay) error {
		_, err := w.admin().AdjustStock(w.t.Context(), s.product, delta, "rooms change")
		return err
	}
}

func doGrant(points string) act {
	return func(w *world, s *stay) error {
		_, err := w.admin().GrantPoints(w.t.Context(), s.user, amount(points), "an operator's")
		return err
	}
}

func doAdminCancel(w *world, s *stay) error {
	_, err := w.admin().CancelBooking(w.t.Context(), s.booking.ID, "overbooked")
	return err
}

func doRedrive(w *world, s *stay) error {
	_, err := w.admin().Redrive(w.t.Context(), s.booking.ID)
	return err
}

// What happens around the invocations.

func doLapse(w *world, s *stay) error {
	w.stage.lapse(s.booking)
	return nil
}

func doTimePasses(w *world, s *stay) error {
	w.stage.timePasses(s)
	return nil
}

func doLateCharge(w *world, s *stay) error {
	w.stage.chargesComeIn(s)
	return nil
}

func doForget(w *world, s *stay) error {
	w.stage.forget(s.product)
	return nil
}

func doLoseMessages(w *world, _ *stay) error {
	w.queue.take()
	return nil
}

// doRivals lets two others take every unit that is free.
func doRivals(w *world, s *stay) error {
	for range 2 {
		other := &stay{user: w.nextUser(), product: s.product}
		if err := doReserve(w.plainly(), other); err != nil && !errors.Is(err, booking.ErrSoldOut) {
			return err
		}
	}
	return nil
}

// doSellBehindTheGate completes without the gate hearing of it.
func doSellBehindTheGate(w *world, s *stay) error {
	step := w.plainly().completeStep()
	step.Gate = deaf{step.Gate}
	_, err := step.Run(w.t.Context(), booking.CompleteCommand{UserID: s.user, BookingID: s.booking.ID})
	return err
}

// doLoseHold makes the gate forget one hold, as a failover to older writes does.
func doLoseHold(w *world, s *stay) error {
	return w.plainly().gatePort.Release(w.t.Context(), s.booking.Hold())
}

// scenario is one buyer's story. sold: a buyer who repeats what was interrupted ends
// with a sale. moved: money has moved, or may have, when the last act begins.
type scenario struct {
	set   booking.Set
	key   string
	acts  []act
	sold  bool
	moved bool
}

// until tells what has been done until an act is over: two scenarios with one story
// are the same so far. Acts of one maker (doGrant) count as the same act.
func (sc scenario) until(which int) string {
	story := fmt.Sprint(sc.set, sc.key)
	for _, act := range sc.acts[:which+1] {
		story += fmt.Sprintf(" %p", act)
	}
	return story
}

func ypay(s string) booking.Set { return booking.Set{{Method: booking.YPay, Amount: amount(s)}} }

func mixed() booking.Set { return both("20000", booking.Card, "30000") }

var scenarios = map[string]scenario{
	"card":            {card("100000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true, true},
	"ypay":            {ypay("100000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true, false},
	"points":          {points("50000"), "", []act{doReserve, doRegister, doApprove, doComplete}, true, true},
	"card and points": {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true, true},
	"ypay and points": {both("20000", booking.YPay, "30000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true, false},

	"declined":               {mixed(), "decline-", []act{doReserve, doRegister, doApprove}, false, false},
	"declined by the wallet": {ypay("50000"), "decline-", []act{doReserve, doRegister, doApprove}, false, false},
	"declined, another card": {card("50000"), "decline-", []act{doReserve, doRegister, doApprove, doApprove, doAnotherCard, doApprove, doComplete}, true, false},

	"never answered":         {card("50000"), "timeout-", []act{doReserve, doRegister, doApprove}, false, false},
	"failing":                {card("50000"), "error-", []act{doReserve, doRegister, doApprove}, false, false},
	"answer lost":            {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doApprove, doComplete}, true, true},
	"error, repeated":        {card("50000"), "flaky-", []act{doReserve, doRegister, doApprove, doApprove, doComplete}, true, false},
	"charged late, found":    {card("50000"), "late-", []act{doReserve, doRegister, doApprove, doLateCharge, doApprove, doComplete}, true, false},
	"charged after a cancel": {card("50000"), "late-", []act{doReserve, doRegister, doApprove, doCancel, doTimePasses, doSweep}, false, true},
	"another amount":         {card("50000"), "mismatch-", []act{doReserve, doRegister, doApprove, doApprove}, false, true},
	"another amount, another card": {card("50000"), "mismatch-",
		[]act{doReserve, doRegister, doApprove, doApprove, doAnotherCard, doApprove, doComplete}, true, false},

	"cancel held":       {card("50000"), "", []act{doReserve, doCancel}, false, false},
	"cancel registered": {mixed(), "", []act{doReserve, doRegister, doCancel}, false, false},
	"cancel in flight":  {card("50000"), "ok-", []act{doReserve, doRegister, doDieAtTheCharge, doCancel}, false, true},
	"cancel unknown":    {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doCancel}, false, true},
	"cancel paid":       {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doCancel}, false, true},
	"cancel sold":       {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doComplete, doCancel}, false, true},

	"lapsed, retaken":      {card("50000"), "ok-", []act{doReserve, doRegister, doLapse, doApprove, doLapse, doComplete}, true, true},
	"lapsed, taken":        {card("50000"), "ok-", []act{doReserve, doRegister, doLapse, doRivals, doApprove}, false, false},
	"lapsed, paid, taken":  {card("50000"), "ok-", []act{doReserve, doRegister, doApprove, doLapse, doRivals, doComplete}, false, true},
	"lapsed, held again":   {card("50000"), "ok-", []act{doReserve, doLapse, doReserve, doRegister, doApprove, doComplete}, true, false},
	"lapsed, swept":        {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doTimePasses, doSweep}, false, true},
	"lapsed unpaid, swept": {card("50000"), "", []act{doReserve, doRegister, doTimePasses, doSweep}, false, false},
	"points gone":          {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doGrant("-49999"), doComplete}, false, true},
	"stock gone":           {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doAdjustStock(-2), doComplete}, false, true},

	"message refunds":   {card("50000"), "ok-", []act{doReserve, doRegister, doApprove, doCancel, doCompensate}, false, true},
	"message resolves":  {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doCompensate, doApprove, doComplete}, true, false},
	"sweep refunds":     {card("50000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete, doCancel, doLoseMessages, doSweep}, false, true},
	"sweep resolves":    {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doLoseMessages, doSweep, doApprove, doComplete}, true, false},
	"refund refused":    {card("50000"), "slowcancel-1-", []act{doReserve, doRegister, doApprove, doCancel, doCompensate, doRedrive}, false, true},
	"cold at the hold":  {card("50000"), "", []act{doForget, doReserve}, false, false},
	"cold at approve":   {card("50000"), "ok-", []act{doReserve, doRegister, doForget, doApprove, doComplete}, true, false},
	"cold at complete":  {card("50000"), "ok-", []act{doReserve, doRegister, doApprove, doLapse, doForget, doComplete}, true, false},
	"cold at cancel":    {card("50000"), "ok-", []act{doReserve, doRegister, doApprove, doForget, doCancel}, false, false},
	"reconcile a sale":  {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doSellBehindTheGate, doReconcile}, true, false},
	"reconcile a hold":  {card("50000"), "ok-", []act{doReserve, doRegister, doLoseHold, doReconcile, doApprove, doComplete}, true, false},
	"product changed":   {card("50000"), "ok-", []act{doReserve, doRegister, doRenameProduct, doApprove, doComplete}, true, false},
	"stock raised":      {card("50000"), "ok-", []act{doReserve, doRegister, doAdjustStock(3), doApprove, doComplete}, true, false},
	"points granted":    {points("90000"), "", []act{doReserve, doGrant("50000"), doRegister, doComplete}, true, false},
	"operator cancels":  {mixed(), "ok-", []act{doReserve, doRegister, doApprove, doComplete, doAdminCancel}, false, true},
	"operator redrives": {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doRedrive, doApprove, doComplete}, true, false},
}
