package bookingtest

import (
	"context"
	"slices"
	"time"

	"stayhold/shared/booking"
)

// keyLife is how long an answer is kept for its key.
const keyLife = 24 * time.Hour

func (d *Database) key(k booking.IdempotencyKey) *KeyRow {
	return find(d.keys, func(r *KeyRow) bool { return r.UserID == k.UserID && r.Key == k.Key && r.Scope == k.Scope })
}

// current says that the row still speaks for its key.
func (d *Database) current(r *KeyRow) bool {
	return r != nil && r.CreatedAt.After(d.moment.Add(-keyLife)) && (r.Outcome != nil || r.ClaimedUntil.After(d.moment))
}

// taken says that another request with the key came first.
func (d *Database) taken(k *booking.IdempotencyKey) bool { return k != nil && d.current(d.key(*k)) }

// remember stores an answer under the key, and gives it back.
func (d *Database) remember(k *booking.IdempotencyKey, r booking.Result, err error) (booking.Result, error) {
	if k != nil {
		d.write(*k, outcome(*k, r, err), time.Time{})
	}
	return r, err
}

// claim keeps the key for the request that asks, until its lease ends.
func (d *Database) claim(k *booking.IdempotencyKey, until time.Time) {
	if k != nil {
		d.write(*k, nil, until)
	}
}

func (d *Database) write(k booking.IdempotencyKey, o *booking.Recalled, claimed time.Time) {
	r := d.key(k)
	if r == nil {
		r = &KeyRow{UserID: k.UserID, Scope: k.Scope, Key: k.Key}
		d.keys = append(d.keys, r)
	}
	r.Fingerprint, r.RequestID, r.Outcome, r.ClaimedUntil, r.CreatedAt = k.Fingerprint, k.RequestID, o, claimed, d.moment
}

// outcome is an answer as it is stored: without what was to be sent.
func outcome(k booking.IdempotencyKey, r booking.Result, err error) *booking.Recalled {
	r.Sending = nil
	r.Booking.Payments = slices.Clone(r.Booking.Payments)
	return &booking.Recalled{Result: r, Err: err, RequestID: k.RequestID}
}

// own finds the claim of the request that asks.
func (d *Database) own(k *booking.IdempotencyKey) *KeyRow {
	if k == nil {
		return nil
	}
	if r := d.key(*k); r != nil && r.Outcome == nil && r.RequestID == k.RequestID {
		return r
	}
	return nil
}

// settle ends this request's own claim with an answer.
func (d *Database) settle(k *booking.IdempotencyKey, r booking.Result, err error) {
	if row := d.own(k); row != nil {
		row.Outcome, row.ClaimedUntil = outcome(*k, r, err), time.Time{}
	}
}

// unclaim ends this request's own claim and leaves the key free.
func (d *Database) unclaim(k *booking.IdempotencyKey) {
	if row := d.own(k); row != nil {
		d.keys = slices.DeleteFunc(d.keys, func(r *KeyRow) bool { return r == row })
	}
}

// Recall reads what a request with this key was answered; nil: the key is free.
func (d *Database) Recall(_ context.Context, key booking.IdempotencyKey) (*booking.Recalled, error) {
	defer d.begin()()
	r := d.key(key)
	switch {
	case !d.current(r):
		return nil, nil
	case r.Fingerprint != key.Fingerprint:
		return nil, booking.ErrIdempotencyKeyReused
	case r.Outcome == nil:
		return nil, booking.ErrIdempotencyInProgress
	}
	recalled := *r.Outcome
	recalled.Result.Booking.Payments = slices.Clone(recalled.Result.Booking.Payments)
	return &recalled, nil
}
