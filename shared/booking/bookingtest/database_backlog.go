package bookingtest

import (
	"context"
	"slices"
	"time"

	"stayhold/shared/booking"
)

// How long rows are kept that nobody asks for again.
const (
	saleTail  = 24 * time.Hour     // after check-in a product's gate may still matter
	tokenLife = 7 * 24 * time.Hour // of a spent token, and of an outbox row once it is sent
)

// OnSale lists products whose gate may matter.
func (d *Database) OnSale(_ context.Context, after int64, limit int) ([]int64, error) {
	defer d.begin()()
	ids := []int64{}
	for _, p := range d.products {
		held := func(b *BookingRow) bool { return b.ProductID == p.ID && b.Status.Live() }
		if p.ID > after && len(ids) < limit && (p.CheckInAt.After(d.moment.Add(-saleTail)) || find(d.bookings, held) != nil) {
			ids = append(ids, p.ID)
		}
	}
	return ids, nil
}

// waiting is a row of a backlog: since when it has waited.
type waiting struct {
	id    int64
	since time.Time
}

// longest gives the ids of those that have waited longest.
func longest(list []waiting, limit int) []int64 {
	slices.SortStableFunc(list, func(a, b waiting) int { return a.since.Compare(b.since) })
	ids := make([]int64, min(limit, len(list)))
	for i := range ids {
		ids[i] = list[i].id
	}
	return ids
}

// LapsedBookings lists live bookings whose deadline plus grace is past.
func (d *Database) LapsedBookings(_ context.Context, grace time.Duration, limit int) ([]int64, error) {
	defer d.begin()()
	past := d.after(d.moment, -grace)
	var list []waiting
	for _, b := range d.bookings {
		if b.Status.Live() && b.HoldExpiresAt.Before(past) {
			list = append(list, waiting{b.ID, b.HoldExpiresAt})
		}
	}
	return longest(list, limit), nil
}

// DueApprovals lists bookings with a charge that somebody has to look up.
func (d *Database) DueApprovals(_ context.Context, limit int) ([]int64, error) {
	defer d.begin()()
	return d.dueOf(ApproveAttempt, limit), nil
}

// DueRefunds lists bookings with money that somebody has to give back.
func (d *Database) DueRefunds(_ context.Context, limit int) ([]int64, error) {
	defer d.begin()()
	return d.dueOf(CancelAttempt, limit), nil
}

func (d *Database) dueOf(kind AttemptKind, limit int) []int64 {
	var list []waiting
	for _, a := range d.attempts {
		if a.Kind == kind && a.State.waiting() && !a.NextTryAt.After(d.moment) {
			list = append(list, waiting{a.BookingID, a.NextTryAt})
		}
	}
	return longest(list, limit)
}

// Purge deletes expired idempotency keys, outbox rows that were sent long ago, and
// spent tokens that no gate can still hold.
func (d *Database) Purge(_ context.Context, limit int) (int64, error) {
	defer d.begin()()
	day, week := d.moment.Add(-keyLife), d.moment.Add(-tokenLife)
	return purge(&d.keys, limit, func(k *KeyRow) bool { return k.CreatedAt.Before(day) }) +
		purge(&d.outbox, limit, func(m *OutboxRow) bool { return !m.SentAt.IsZero() && m.SentAt.Before(week) }) +
		purge(&d.spent, limit, func(s *SpentTokenRow) bool { return s.CreatedAt.Before(week) }), nil
}

// purge deletes rows that are past, at most so many, and counts them.
func purge[T any](rows *[]*T, limit int, past func(*T) bool) int64 {
	gone := 0
	*rows = slices.DeleteFunc(*rows, func(r *T) bool {
		if gone == limit || !past(r) {
			return false
		}
		gone++
		return true
	})
	return int64(gone)
}

// Unsent lists messages that were promised and not sent.
func (d *Database) Unsent(_ context.Context, age time.Duration, limit int) ([]booking.Outgoing, error) {
	defer d.begin()()
	past := d.after(d.moment, -age)
	list := []booking.Outgoing{}
	for _, m := range d.outbox {
		if m.SentAt.IsZero() && m.CreatedAt.Before(past) && len(list) < limit {
			list = append(list, m.domain())
		}
	}
	return list, nil
}

// MarkSent records that the queue has the messages.
func (d *Database) MarkSent(_ context.Context, ids ...int64) error {
	defer d.begin()()
	for _, m := range d.outbox {
		if m.SentAt.IsZero() && slices.Contains(ids, m.ID) {
			m.SentAt = d.moment
		}
	}
	return nil
}
