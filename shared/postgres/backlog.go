package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"stayhold/shared/booking"
)

const onSaleSQL = `
SELECT id FROM product p
WHERE id > $1 AND (check_in_at > now() - interval '1 day' OR EXISTS (
    SELECT FROM booking b WHERE b.product_id = p.id AND b.status IN ('INIT', 'PAYMENT_PENDING')))
ORDER BY id LIMIT $2`

// OnSale lists products whose gate may matter.
func (s *Store) OnSale(ctx context.Context, after int64, limit int) ([]int64, error) {
	return queryAll(ctx, s, onSaleSQL, pgx.RowTo[int64], after, limit)
}

const lapsedSQL = `
SELECT id FROM booking
WHERE status IN ('INIT', 'PAYMENT_PENDING') AND hold_expires_at < now() - $1::bigint * interval '1 millisecond'
ORDER BY hold_expires_at LIMIT $2`

// LapsedBookings lists live bookings whose deadline plus grace is past.
func (s *Store) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	return queryAll(ctx, s, lapsedSQL, pgx.RowTo[int64], grace.Milliseconds(), limit)
}

const dueSQL = `
SELECT booking_id FROM payment_attempt
WHERE kind = $1 AND state IN ('REQUESTED', 'UNKNOWN', 'PENDING') AND next_try_at <= now()
ORDER BY next_try_at LIMIT $2`

// DueApprovals lists bookings with a charge that somebody has to look up.
func (s *Store) DueApprovals(ctx context.Context, limit int) ([]int64, error) {
	return queryAll(ctx, s, dueSQL, pgx.RowTo[int64], "APPROVE", limit)
}

// DueRefunds lists bookings with money that somebody has to give back.
func (s *Store) DueRefunds(ctx context.Context, limit int) ([]int64, error) {
	return queryAll(ctx, s, dueSQL, pgx.RowTo[int64], "CANCEL", limit)
}

const purgeSQL = `SELECT purge($1)`

// Purge deletes expired idempotency keys, outbox rows that were sent long ago, and
// spent tokens that no gate can still hold.
func (s *Store) Purge(ctx context.Context, limit int) (n int64, err error) {
	err = s.write(ctx, func(c *pgxpool.Conn) error { return c.QueryRow(ctx, purgeSQL, limit).Scan(&n) })
	return n, err
}

func scanOutgoing(row pgx.CollectableRow) (booking.Outgoing, error) {
	var o booking.Outgoing
	err := row.Scan(&o.ID, &o.Task, &o.BookingID)
	return o, err
}

const unsentSQL = `
SELECT id, task, booking_id FROM outbox
WHERE sent_at IS NULL AND created_at < now() - $1::bigint * interval '1 millisecond'
ORDER BY created_at LIMIT $2`

// Unsent lists messages that were promised and not sent.
func (s *Store) Unsent(ctx context.Context, age time.Duration, limit int) ([]booking.Outgoing, error) {
	return queryAll(ctx, s, unsentSQL, scanOutgoing, age.Milliseconds(), limit)
}

const markSentSQL = `SELECT mark_sent($1)`

// MarkSent records that the queue has the messages.
func (s *Store) MarkSent(ctx context.Context, ids ...int64) error {
	return s.write(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, markSentSQL, ids)
		return err
	})
}

const outstandingSQL = `
SELECT
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint FROM payment_attempt
     WHERE kind = 'APPROVE' AND state IN ('REQUESTED', 'UNKNOWN')),
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint FROM payment_attempt
     WHERE kind = 'CANCEL' AND state = 'PENDING'),
    (SELECT count(DISTINCT booking_id) FROM payment_attempt
     WHERE kind = 'CANCEL' AND state = 'PENDING' AND tries >= stuck_after()),
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint FROM outbox WHERE sent_at IS NULL),
    (SELECT greatest(coalesce(extract(epoch FROM now() - min(hold_expires_at)), 0), 0)::bigint FROM booking
     WHERE status IN ('INIT', 'PAYMENT_PENDING'))`

// Outstanding tells how old the work is that somebody still has to do.
func (s *Store) Outstanding(ctx context.Context) (b booking.Outstanding, err error) {
	err = s.read(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, outstandingSQL).Scan(&b.UnknownCharge, &b.PendingRefund, &b.StuckRefunds, &b.UnsentMessage, &b.LapsedHold)
	})
	return b, err
}
