package bookingtest

import (
	"context"
	"fmt"
	"time"

	"stayhold/shared/booking"
)

// ClaimRefund leases the row of the booking that has waited longest for its money to go
// back.
func (d *Database) ClaimRefund(_ context.Context, bookingID int64, owner string, lease time.Duration) (booking.RefundIntent, error) {
	defer d.begin()()
	var a *AttemptRow
	for _, c := range d.attempts {
		if c.BookingID == bookingID && c.State == AttemptPending && d.due(c) && (a == nil || c.NextTryAt.Before(a.NextTryAt)) {
			a = c
		}
	}
	if a == nil {
		return booking.RefundIntent{}, booking.ErrNothingDue
	}
	d.lease(a, owner, d.after(d.moment, lease))
	return booking.RefundIntent{
		AttemptID: a.ID, BookingID: bookingID, Owner: owner, Charge: chargeOf(a, d.payment(a.PaymentID)),
		Stuck: a.Tries >= stuckAfter,
	}, nil
}

// EndRefund records that money is back (believed from anybody), or has to be asked for
// again (from the lease's owner).
func (d *Database) EndRefund(_ context.Context, in booking.RefundIntent, back bool, ref string) error {
	defer d.begin()()
	a := find(d.attempts, func(a *AttemptRow) bool { return a.ID == in.AttemptID && a.State == AttemptPending })
	switch {
	case a == nil:
	case back:
		d.end(a, AttemptDone)
		a.Reference = ref
		if p := d.payment(a.PaymentID); p.Status == booking.PaymentSuccess {
			d.turn(p, booking.PaymentCancelled)
		}
		d.note(a.BookingID, "REFUNDED", joined(", ", text(a.Amount)+" of order "+a.OrderID, reference(ref)))
	case a.Owner == in.Owner:
		a.LeaseUntil, a.UpdatedAt = time.Time{}, d.moment
		d.retry(a)
		if a.Tries == stuckAfter {
			d.note(a.BookingID, "REFUND_STUCK", fmt.Sprintf(
				"order %s: the gateway has not given the money back in %d tries; it is tried on", a.OrderID, a.Tries))
		}
	}
	return nil
}
