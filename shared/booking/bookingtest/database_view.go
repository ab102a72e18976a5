package bookingtest

import (
	"stayhold/shared/booking"
)

// stuckAfter is from how many failed tries on a refund is shown as stuck.
const stuckAfter = 3

// view is the booking as a step or a reader sees it, without its timeline.
func (d *Database) view(b *BookingRow) booking.Booking {
	v := booking.Booking{
		ID: b.ID, UserID: b.UserID, ProductID: b.ProductID, Status: b.Status, Total: b.TotalAmount,
		HoldToken: b.HoldToken, HoldExpiresAt: b.HoldExpiresAt, CheckInAt: b.CheckInAt,
		CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt, ReadAt: d.moment,
		Payments: []booking.Payment{},
	}
	if b.FailureCode != "" {
		v.Failure = &booking.Failure{Code: b.FailureCode, Detail: b.FailureDetail}
	}
	for _, p := range d.payments {
		if p.BookingID == b.ID {
			v.Payments = append(v.Payments, d.viewPayment(p))
		}
	}
	return v
}

func (d *Database) viewPayment(p *PaymentRow) booking.Payment {
	v := booking.Payment{
		ID: p.ID, Method: p.PaymentMethod, Amount: p.Amount, Status: p.Status, OrderID: p.OrderID,
		Approval: booking.ApprovalNone, RefundState: booking.RefundNone,
	}
	a, c := d.attempt(p, ApproveAttempt), d.attempt(p, CancelAttempt)
	switch {
	case c != nil && c.State == AttemptDone:
		v.Approval, v.RefundState = booking.ApprovalCancelled, booking.RefundDone
	case c != nil && c.Tries >= stuckAfter:
		v.Approval, v.RefundState = booking.ApprovalCancelFailed, booking.RefundStuck
	case c != nil:
		v.Approval, v.RefundState = booking.ApprovalCancelRequested, booking.RefundPending
	case a != nil && a.State == AttemptClosed:
		v.Approval = booking.ApprovalCancelled
	case a != nil:
		v.Approval = booking.Approval(a.State)
	}
	if c != nil {
		v.RefundAmount = c.Amount
	}
	return v
}

// answer is the outcome of a step that was done.
func (d *Database) answer(b *BookingRow) booking.Result { return booking.Result{Booking: d.view(b)} }

// refuse is the outcome of a step that was refused, with the booking that it is about.
func (d *Database) refuse(b *BookingRow, err error) (booking.Result, error) { return d.answer(b), err }

// owing adds the member that tells a buyer that money has to go back, where it has to.
func (d *Database) owing(b *BookingRow, err *booking.Error) *booking.Error {
	if d.owed(b) {
		return err.With("compensation", "PENDING")
	}
	return err
}

// owed says that a refund, or a charge that may become one, is under way.
func (d *Database) owed(b *BookingRow) bool {
	return find(d.attempts, func(a *AttemptRow) bool { return a.BookingID == b.ID && a.State.waiting() }) != nil
}

// wrongState is what a call on a booking in the wrong state is told.
func wrongState(b *BookingRow) error {
	return booking.ErrInvalidState.With("bookingStatus", string(b.Status))
}

// ended is what a call that would have needed the hold is told of a booking that has
// ended.
func (d *Database) ended(b *BookingRow) error {
	if b.FailureCode == booking.ErrHoldExpired.Code {
		return d.owing(b, booking.ErrHoldExpired)
	}
	return wrongState(b)
}

// rememberLapse stores a refusal of a booking that has ended, where it is final for
// its key: only the lapse of a hold is.
func (d *Database) rememberLapse(k *booking.IdempotencyKey, b *BookingRow) (booking.Result, error) {
	r, err := d.refuse(b, d.ended(b))
	if b.FailureCode == booking.ErrHoldExpired.Code {
		return d.remember(k, r, err)
	}
	return r, err
}
