package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/booking"
)

// An invariant is a statement that finds what breaks it: a line for a person and the
// bookings concerned. $1 is a product, or 0 for all. Invariants that hold once all is
// quiet leave out what a live attempt, lease, message or hold still speaks for.
var invariants = []struct{ name, sql string }{
	{"I1", `
SELECT format('product %s: stock %s is not remaining %s and confirmed %s; see stock_adjustment', p.id, p.total_stock, p.remaining_stock, n.confirmed),
    ARRAY[]::bigint[]
FROM product p, LATERAL (SELECT count(*) AS confirmed FROM booking b WHERE b.product_id = p.id AND b.status = 'CONFIRMED') n
WHERE (p.id = $1 OR $1 = 0) AND p.total_stock <> p.remaining_stock + n.confirmed`},
	{"I1", `
SELECT format('product %s: stock %s is not the sum of its adjustments %s', p.id, p.total_stock, n.adjusted), ARRAY[]::bigint[]
FROM product p, LATERAL (SELECT coalesce(sum(delta), 0) AS adjusted FROM stock_adjustment a WHERE a.product_id = p.id) n
WHERE (p.id = $1 OR $1 = 0) AND p.total_stock <> n.adjusted`},
	{"I2", `
SELECT format('user %s has %s open bookings of product %s', user_id, count(*), product_id), array_agg(id)
FROM booking WHERE status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED') AND (product_id = $1 OR $1 = 0)
GROUP BY user_id, product_id HAVING count(*) > 1`},
	{"I3", `
SELECT format('booking %s is CONFIRMED, paid %s of %s', b.id, n.paid, b.total_amount), ARRAY[b.id]
FROM booking b, LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE status = 'SUCCESS'), 0) AS paid, count(*) FILTER (WHERE status = 'READY') AS ready
    FROM payment p WHERE p.booking_id = b.id) n
WHERE b.status = 'CONFIRMED' AND (b.product_id = $1 OR $1 = 0) AND (n.paid <> b.total_amount OR n.ready > 0)`},
	{"I4", `
SELECT format('booking %s is %s and payment %s is SUCCESS with no refund on its way; redrive it', b.id, b.status, p.id), ARRAY[b.id]
FROM booking b JOIN payment p ON p.booking_id = b.id AND p.status = 'SUCCESS'
WHERE b.status IN ('FAILED', 'CANCELLED') AND (b.product_id = $1 OR $1 = 0) AND NOT EXISTS (
    SELECT FROM payment_attempt a WHERE a.payment_id = p.id AND a.kind = 'CANCEL' AND a.state = 'PENDING')`},
	{"I6", `
SELECT format('user %s has %s points, and his ledger says %s', u.user_id, u.balance, n.sum), ARRAY[]::bigint[]
FROM user_point u, LATERAL (SELECT coalesce(sum(delta), 0) AS sum FROM point_ledger l WHERE l.user_id = u.user_id) n
WHERE $1 = 0 AND u.balance <> n.sum`},
	{"I6", `
SELECT format('payment %s of booking %s is %s and its points moved %s', p.id, b.id, p.status, n.sum), ARRAY[b.id]
FROM booking b JOIN payment p ON p.booking_id = b.id AND p.payment_method = 'POINT',
LATERAL (SELECT coalesce(sum(delta), 0) AS sum FROM point_ledger l WHERE l.payment_id = p.id) n
WHERE (b.product_id = $1 OR $1 = 0) AND n.sum <> CASE WHEN p.status = 'SUCCESS' THEN -p.amount ELSE 0 END`},
	{"I7", `
SELECT format('booking %s is %s, %s past its hold; is the sweep running?', id, status, now() - hold_expires_at), ARRAY[id]
FROM booking
WHERE status IN ('INIT', 'PAYMENT_PENDING') AND hold_expires_at < now() - interval '120 seconds' AND (product_id = $1 OR $1 = 0)`},
	{"I7", `
SELECT format('booking %s: a %s attempt has waited since %s; is the sweep running?', a.booking_id, a.kind, a.next_try_at), ARRAY[a.booking_id]
FROM payment_attempt a JOIN booking b ON b.id = a.booking_id
WHERE a.state IN ('REQUESTED', 'UNKNOWN', 'PENDING') AND a.next_try_at < now() - interval '120 seconds' AND (b.product_id = $1 OR $1 = 0)`},
	{"I7", `
SELECT format('booking %s: a message has not been sent since %s; redrive it', o.booking_id, o.created_at), ARRAY[o.booking_id]
FROM outbox o JOIN booking b ON b.id = o.booking_id
WHERE o.sent_at IS NULL AND o.created_at < now() - interval '120 seconds' AND (b.product_id = $1 OR $1 = 0)`},
	{"I9", `
SELECT format('booking %s has an amount that is no amount', b.id), ARRAY[b.id]
FROM booking b LEFT JOIN payment p ON p.booking_id = b.id
WHERE (b.product_id = $1 OR $1 = 0)
  AND (b.total_amount = 'NaN' OR p.amount = 'NaN' OR b.total_amount <> round(b.total_amount, 2) OR p.amount <> round(p.amount, 2))`},
}

// breachLimit bounds how much of one invariant's breaches is reported.
const breachLimit = ` LIMIT 100`

type breach struct {
	Detail     string
	BookingIDs []int64
}

// Breaches holds every database invariant against the rows.
func (s *Store) Breaches(ctx context.Context, productID int64) ([]booking.Breach, error) {
	found := []booking.Breach{}
	for _, i := range invariants {
		rows, err := queryAll(ctx, s, i.sql+breachLimit, pgx.RowToStructByPos[breach], productID)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			found = append(found, booking.Breach{Invariant: i.name, Detail: r.Detail, BookingIDs: r.BookingIDs})
		}
	}
	return found, nil
}
