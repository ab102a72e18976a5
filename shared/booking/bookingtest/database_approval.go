package bookingtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"stayhold/shared/booking"
)

// errPaymentKeyNeeded refuses an approval that would charge without a gateway's key.
var errPaymentKeyNeeded = booking.ErrInvalidRequest.With("errors",
	[]booking.Violation{{Pointer: "/paymentKey", Code: "REQUIRED"}})

// BeginApproval commits the intent to charge.
func (d *Database) BeginApproval(_ context.Context, r booking.ApprovalRequest) (*booking.Intent, booking.Result, error) {
	defer d.begin()()
	b := d.rowOf(r.UserID, r.BookingID)
	if b == nil {
		return nil, booking.Result{}, booking.ErrBookingNotFound
	}
	if d.taken(r.Key) {
		return nil, booking.Result{}, booking.ErrKeyTaken
	}
	p := d.charge(b)
	if result, err, answered := d.uncharged(b, p, r); answered {
		return nil, result, err
	}
	leased := d.after(d.moment, r.Lease)
	if a := d.attempt(p, ApproveAttempt); a != nil {
		if a.PaymentKey != r.PaymentKey || a.LeaseUntil.After(d.moment) {
			result, err := d.refuse(b, booking.ErrPaymentInProgress)
			return nil, result, err
		}
		d.lease(a, r.Owner, leased)
		if b.HoldExpiresAt.After(d.moment) {
			a.SendableUntil = leased
		}
		d.claim(r.Key, leased)
		return d.intent(b, p, a, r.Key), booking.Result{}, nil
	}
	if !d.extend(b, p, r) {
		result, err := d.remember(r.Key, d.answer(b), booking.ErrHoldExpired)
		return nil, result, err
	}
	a := &AttemptRow{
		ID: next(&d.ids.attempt), PaymentID: p.ID, BookingID: b.ID, Kind: ApproveAttempt, State: AttemptRequested,
		OrderID: p.OrderID, IdempotencyKey: "approve-" + p.OrderID, PaymentKey: r.PaymentKey, Amount: p.Amount,
		Owner: r.Owner, LeaseUntil: leased, SendableUntil: leased, NextTryAt: leased, CreatedAt: d.moment, UpdatedAt: d.moment,
	}
	d.attempts = append(d.attempts, a)
	d.note(b.ID, "CHARGE_REQUESTED", text(p.Amount)+" by "+string(p.PaymentMethod)+", order "+p.OrderID)
	d.claim(r.Key, leased)
	in := d.intent(b, p, a, r.Key)
	in.First = true
	return in, booking.Result{}, nil
}

// uncharged answers an approval that has nothing to charge.
func (d *Database) uncharged(b *BookingRow, p *PaymentRow, r booking.ApprovalRequest) (result booking.Result, err error, answered bool) {
	switch {
	case b.Status.Dead():
		result, err = d.rememberLapse(r.Key, b)
	case p == nil && find(d.payments, func(p *PaymentRow) bool { return p.BookingID == b.ID && live(p) }) == nil:
		result, err = d.refuse(b, booking.ErrPaymentIncomplete)
	case p == nil || p.Status == booking.PaymentSuccess:
		result, err = d.remember(r.Key, d.answer(b), nil)
	case r.PaymentKey == "":
		err = errPaymentKeyNeeded
	default:
		return result, nil, false
	}
	return result, err, true
}

// extend sees to it that enough of the hold is left to charge: it is lengthened once
// per payment, and never past the limit.
func (d *Database) extend(b *BookingRow, p *PaymentRow, r booking.ApprovalRequest) bool {
	window := r.SendTime
	if !p.HoldExtended {
		window = max(r.Window, r.SendTime)
	}
	needed := d.after(d.moment, window)
	if !needed.After(b.HoldExpiresAt) {
		return true
	}
	if p.HoldExtended || needed.After(d.after(b.CreatedAt, r.Limit)) {
		return false
	}
	b.HoldExpiresAt, b.UpdatedAt = needed, d.moment
	p.HoldExtended, p.UpdatedAt = true, d.moment
	d.note(b.ID, "HOLD_EXTENDED", until(needed))
	return true
}

func (d *Database) lease(a *AttemptRow, owner string, until time.Time) {
	a.Owner, a.LeaseUntil, a.NextTryAt, a.UpdatedAt = owner, until, until, d.moment
}

// intent is a leased attempt as its owner needs it.
func (d *Database) intent(b *BookingRow, p *PaymentRow, a *AttemptRow, key *booking.IdempotencyKey) *booking.Intent {
	left := b.HoldExpiresAt.Sub(d.moment)
	return &booking.Intent{
		AttemptID: a.ID, BookingID: b.ID, Owner: a.Owner, Key: key, Charge: chargeOf(a, p),
		Hold:     booking.Hold{ProductID: b.ProductID, UserID: b.UserID, Token: b.HoldToken},
		Deadline: b.HoldExpiresAt, HoldLeft: left - (left%time.Millisecond+time.Millisecond)%time.Millisecond,
	}
}

func chargeOf(a *AttemptRow, p *PaymentRow) booking.Charge {
	return booking.Charge{Method: p.PaymentMethod, OrderID: a.OrderID, PaymentKey: a.PaymentKey, Key: a.IdempotencyKey, Amount: a.Amount}
}

// ClaimApproval leases an attempt whose answer is not known.
func (d *Database) ClaimApproval(_ context.Context, bookingID int64, owner string, lease, session time.Duration) (booking.Intent, error) {
	defer d.begin()()
	a := find(d.attempts, func(a *AttemptRow) bool { return a.BookingID == bookingID && a.State.open() && d.due(a) })
	if a == nil {
		return booking.Intent{}, booking.ErrNothingDue
	}
	d.lease(a, owner, d.after(d.moment, lease))
	in := d.intent(d.row(bookingID), d.payment(a.PaymentID), a, nil)
	in.Over = d.moment.After(d.after(a.SendableUntil, session))
	return *in, nil
}

// due says that it is the attempt's turn and nobody works on it.
func (d *Database) due(a *AttemptRow) bool {
	return !a.NextTryAt.After(d.moment) && !a.LeaseUntil.After(d.moment)
}

func (d *Database) payment(id int64) *PaymentRow {
	return find(d.payments, func(p *PaymentRow) bool { return p.ID == id })
}

// EndApproval records what was found out of a charge. A charge is believed from
// anybody; a decline from a look-up, or from the first call of an owner whose lease was
// not taken over; the rest from that owner.
func (d *Database) EndApproval(_ context.Context, in booking.Intent, f booking.Finding) (booking.Result, error) {
	defer d.begin()()
	a := find(d.attempts, func(a *AttemptRow) bool { return a.ID == in.AttemptID })
	if a == nil {
		return booking.Result{}, booking.ErrInternal
	}
	b, p := d.row(a.BookingID), d.payment(a.PaymentID)
	mine := a.State.open() && a.Owner == in.Owner && !a.LeaseUntil.IsZero()
	first := in.First && mine
	var sending []booking.Outgoing
	var told *booking.Error
	switch found := believed(f, first); {
	case found == booking.FoundApproved:
		sending = d.charged(b, p, a, f.Reference)
	case found == booking.FoundDeclined && a.State.open():
		d.chargeless(b, p, a, AttemptDeclined, "CHARGE_DECLINED", f.DeclineCode)
		told = booking.ErrPaymentDeclined.With("declineCode", f.DeclineCode)
	case found == booking.FoundMismatched && a.State != AttemptApproved:
		taken, err := money(f.Amount)
		switch {
		case err != nil:
			return booking.Result{}, err
		case !taken.IsPositive():
			return booking.Result{}, booking.ErrInternal
		}
		d.chargeless(b, p, a, AttemptApproved, "CHARGE_MISMATCHED", f.Amount.String()+" was taken instead of "+text(a.Amount))
		d.commandRefund(p, taken)
		sending = d.promise(b.ID, booking.TaskCompensate)
	case found == booking.FoundClosed && mine:
		d.chargeless(b, p, a, AttemptClosed, "CHARGE_CLOSED", "never charged, and the gateway's session is over")
	case found == booking.FoundUnknown && mine:
		sending = d.unknown(a)
	case found == booking.FoundNotSent, found == booking.FoundHoldLost:
		sending, told = d.unsent(b, p, a, found)
	}
	r, err := d.told(b, p, a, told)
	d.settleApproval(in.Key, r, err)
	r.Sending = sending
	return r, err
}

// believed is the finding as far as it is believed from whom it comes.
func believed(f booking.Finding, first bool) booking.FindingCode {
	switch f.Code {
	case booking.FoundDeclined:
		if !first && !f.ByLookup {
			return booking.FoundUnknown
		}
	case booking.FoundNotSent, booking.FoundHoldLost:
		if !first {
			return booking.FoundUnknown
		}
	}
	return f.Code
}

// charged: the money was taken, whoever found it. Where the booking can use it, it is
// paid; otherwise the money is commanded back.
func (d *Database) charged(b *BookingRow, p *PaymentRow, a *AttemptRow, ref string) []booking.Outgoing {
	if a.State == AttemptApproved {
		return nil
	}
	a.Reference = ref
	d.end(a, AttemptApproved)
	d.note(b.ID, "CHARGED", joined(", ", text(a.Amount)+", order "+a.OrderID, reference(ref)))
	if p.Status == booking.PaymentReady {
		d.turn(p, booking.PaymentSuccess)
		if b.Status == booking.Init {
			b.Status, b.UpdatedAt = booking.PaymentPending, d.moment
			d.note(b.ID, "PAYMENT_PENDING", "")
			return nil
		}
	}
	d.commandRefund(p, a.Amount)
	return d.promise(b.ID, booking.TaskCompensate)
}

func (d *Database) end(a *AttemptRow, state AttemptState) {
	a.State, a.LeaseUntil, a.NextTryAt, a.UpdatedAt = state, time.Time{}, time.Time{}, d.moment
}

// chargeless: the charge is over and took nothing (or another amount, which goes back).
// The payment has ended; the hold has not.
func (d *Database) chargeless(b *BookingRow, p *PaymentRow, a *AttemptRow, state AttemptState, event, detail string) {
	d.end(a, state)
	d.note(b.ID, event, "order "+a.OrderID+": "+detail)
	if p.Status != booking.PaymentReady {
		return
	}
	if state == AttemptClosed && b.Status.Dead() {
		d.turn(p, booking.PaymentCancelled)
	} else {
		d.turn(p, booking.PaymentFailed)
	}
	if b.Status != booking.Init {
		return
	}
	for _, rest := range d.payments {
		if rest.BookingID == b.ID && rest.Status == booking.PaymentReady {
			d.turn(rest, booking.PaymentCancelled)
		}
	}
}

// unknown puts an attempt down whose answer is not known.
func (d *Database) unknown(a *AttemptRow) []booking.Outgoing {
	again := a.State == AttemptUnknown
	d.end(a, AttemptUnknown)
	a.NextTryAt = d.moment
	if again { // the next look-up is as far off as the charge is old
		a.Tries++
		a.NextTryAt = d.moment.Add(min(max(d.moment.Sub(a.CreatedAt), 2*time.Second), 300*time.Second))
		return nil
	}
	d.note(a.BookingID, "CHARGE_UNKNOWN", "order "+a.OrderID+": the gateway's answer is not known yet")
	return d.promise(a.BookingID, booking.TaskResolve)
}

// retry counts a try that failed, and keeps the next one waiting.
func (d *Database) retry(a *AttemptRow) {
	a.Tries++
	a.NextTryAt = d.moment.Add(min(time.Second<<min(a.Tries, 10), 300*time.Second))
}

// unsent: certainly nothing was sent. The attempt is as if it had never been.
func (d *Database) unsent(b *BookingRow, p *PaymentRow, a *AttemptRow, found booking.FindingCode) ([]booking.Outgoing, *booking.Error) {
	d.attempts = slices.DeleteFunc(d.attempts, func(other *AttemptRow) bool { return other == a })
	d.note(b.ID, "CHARGE_NOT_SENT", "order "+a.OrderID)
	switch {
	case b.Status.Dead():
		if p.Status == booking.PaymentReady {
			d.turn(p, booking.PaymentCancelled)
		}
	case found == booking.FoundHoldLost:
		sending := d.fence(b, booking.Failed, booking.ErrHoldExpired.Code, "the hold lapsed and no unit was free")
		return sending, booking.ErrHoldExpired
	}
	return nil, booking.ErrUnavailable
}

// told is what the buyer is told after a finding that says so, or else by what the
// rows say now.
func (d *Database) told(b *BookingRow, p *PaymentRow, a *AttemptRow, told *booking.Error) (booking.Result, error) {
	switch {
	case told != nil:
		return d.refuse(b, d.owing(b, told))
	case b.Status.Dead():
		return d.refuse(b, d.ended(b))
	case a.State.open():
		r := d.answer(b)
		r.Pending = true
		return r, nil
	case p.Status != booking.PaymentSuccess:
		return d.refuse(b, d.owing(b, booking.ErrPaymentIncomplete))
	default:
		return d.answer(b), nil
	}
}

// settleApproval ends the claim of the request: with an answer that is final for its
// key, or by leaving the key free.
func (d *Database) settleApproval(k *booking.IdempotencyKey, r booking.Result, err error) {
	if err == nil && !r.Pending || errors.Is(err, booking.ErrPaymentDeclined) || errors.Is(err, booking.ErrHoldExpired) {
		d.settle(k, r, err)
	} else {
		d.unclaim(k)
	}
}
