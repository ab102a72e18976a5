package bookingtest

import (
	"context"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// fence ends the booking as FAILED (with its code) or CANCELLED and gives the outbox
// rows to send. A charge in flight stays untouched: its result finds the booking dead.
func (d *Database) fence(b *BookingRow, to booking.Status, code, detail string) []booking.Outgoing {
	was := b.Status
	b.Status, b.FailureCode, b.UpdatedAt = to, code, d.moment
	if code != "" {
		b.FailureDetail = cut(detail)
	}
	d.note(b.ID, string(to), joined(": ", code, detail))

	for _, p := range d.payments {
		if p.BookingID == b.ID && p.PaymentMethod != booking.Point && p.Status == booking.PaymentSuccess {
			d.commandRefund(p, p.Amount)
		}
	}
	d.returnPoints(b)
	for _, p := range d.payments {
		if p.BookingID != b.ID || p.Status != booking.PaymentReady {
			continue
		}
		if a := d.attempt(p, ApproveAttempt); a == nil || !a.State.open() {
			d.turn(p, booking.PaymentCancelled)
		}
	}
	if was == booking.Confirmed {
		p := d.product(b.ProductID)
		d.setStock(p, p.RemainingStock+1)
	}
	if was == booking.Confirmed || b.HoldExpiresAt.After(d.moment) || d.owed(b) {
		return d.promise(b.ID, booking.TaskCompensate)
	}
	return nil
}

// commandRefund writes the row that commands a charge to go back, once for ever.
func (d *Database) commandRefund(p *PaymentRow, amount decimal.Decimal) {
	charge := d.attempt(p, ApproveAttempt)
	if charge == nil || d.attempt(p, CancelAttempt) != nil {
		return
	}
	d.attempts = append(d.attempts, &AttemptRow{
		ID: next(&d.ids.attempt), PaymentID: p.ID, BookingID: p.BookingID, Kind: CancelAttempt, State: AttemptPending,
		OrderID: charge.OrderID, IdempotencyKey: "cancel-" + charge.OrderID, PaymentKey: charge.PaymentKey, Amount: amount,
		NextTryAt: d.moment, CreatedAt: d.moment, UpdatedAt: d.moment,
	})
	d.note(p.BookingID, "REFUND_REQUESTED", text(amount)+" of order "+charge.OrderID)
}

// returnPoints gives the points of a sold booking back, once.
func (d *Database) returnPoints(b *BookingRow) {
	p := d.points(b, booking.PaymentSuccess)
	if p == nil {
		return
	}
	account := d.balance(b.UserID)
	account.Balance, account.UpdatedAt = account.Balance.Add(p.Amount), d.moment
	d.enter("CREDIT", p, p.Amount, b, "booking "+strconv.FormatInt(b.ID, 10)+" cancelled")
	d.turn(p, booking.PaymentCancelled)
	d.note(b.ID, "POINTS_RETURNED", text(p.Amount))
}

// Surrender fences a booking that cannot be confirmed.
func (d *Database) Surrender(_ context.Context, s booking.Surrender) (booking.Result, error) {
	defer d.begin()()
	b := d.row(s.BookingID)
	if b == nil {
		return booking.Result{}, booking.ErrBookingNotFound
	}
	if d.taken(s.Key) {
		return booking.Result{}, booking.ErrKeyTaken
	}
	var sending []booking.Outgoing
	switch b.Status {
	case booking.Confirmed:
		return d.remember(s.Key, d.answer(b), nil)
	case booking.Init:
		return d.refuse(b, booking.ErrPaymentIncomplete)
	case booking.Cancelled:
		return d.refuse(b, wrongState(b))
	case booking.PaymentPending:
		sending = d.fence(b, booking.Failed, s.Cause.Code, s.Cause.Detail)
	}
	r, err := d.refuse(b, d.owing(b, booking.ErrorByCode(b.FailureCode)))
	if b.FailureCode == booking.ErrHoldExpired.Code || b.FailureCode == booking.ErrInsufficientPoints.Code {
		r, err = d.remember(s.Key, r, err)
	}
	r.Sending = sending
	return r, err
}

// Cancel fences a booking for its user.
func (d *Database) Cancel(_ context.Context, c booking.Cancellation) (booking.Result, error) {
	defer d.begin()()
	b := d.row(c.BookingID)
	if b == nil || c.UserID != 0 && b.UserID != c.UserID {
		return booking.Result{}, booking.ErrBookingNotFound
	}
	if d.taken(c.Key) {
		return booking.Result{}, booking.ErrKeyTaken
	}
	if b.Status == booking.Failed || b.Status == booking.Confirmed && c.UserID != 0 && !d.moment.Before(b.CheckInAt) {
		return d.refuse(b, wrongState(b))
	}
	var sending []booking.Outgoing
	if b.Status != booking.Cancelled {
		sending = d.fence(b, booking.Cancelled, "", c.Reason)
	}
	r, err := d.remember(c.Key, d.answer(b), nil)
	r.Sending = sending
	return r, err
}

// Lapse fences a booking whose hold is past.
func (d *Database) Lapse(_ context.Context, bookingID int64, grace time.Duration) (booking.Result, error) {
	defer d.begin()()
	b := d.row(bookingID)
	if b == nil || !b.Status.Live() || d.after(b.HoldExpiresAt, grace).After(d.moment) {
		return booking.Result{}, booking.ErrNothingDue
	}
	sending := d.fence(b, booking.Failed, booking.ErrHoldExpired.Code, "the hold lapsed")
	r := d.answer(b)
	r.Sending = sending
	return r, nil
}

// Dead reads a booking that has ended, as far as its release needs it.
func (d *Database) Dead(_ context.Context, bookingID int64) (booking.Booking, error) {
	defer d.begin()()
	b := d.row(bookingID)
	if b == nil || !b.Status.Dead() {
		return booking.Booking{}, booking.ErrNothingDue
	}
	return booking.Booking{ID: b.ID, UserID: b.UserID, ProductID: b.ProductID, Status: b.Status, HoldToken: b.HoldToken}, nil
}
