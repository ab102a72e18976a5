package postgrestest

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// bulkTableSQL says what bulkSQL makes: $1 products and $2 bookings, spread evenly. Of ten bookings six are sold by card,
// one for points, one of each was sold and cancelled, and one lapsed. User n has booking n.
const bulkTableSQL = `
CREATE TEMP TABLE bulk ON COMMIT DROP AS
SELECT n, 1 + n % $1::bigint AS product, n % 10 AS kind, n % 10 < 7 AS sold, n % 10 IN (6, 8) AS points, n % 10 IN (7, 8) AS cancelled
FROM generate_series(1, $2::bigint) AS n`

// bulkSQL makes the rows as the steps would have left them.
var bulkSQL = []string{`
INSERT INTO product (id, name, price, remaining_stock, total_stock, sale_start_at, check_in_at, check_out_at, status)
OVERRIDING SYSTEM VALUE
SELECT product, 'Room ' || product, 100000, 1000, 1000 + count(*) FILTER (WHERE sold), now() - interval '1 day', now() + interval '30 days', now() + interval '31 days', 'ACTIVE'
FROM bulk GROUP BY product`, `
INSERT INTO stock_adjustment (product_id, delta, reason) SELECT id, total_stock, 'first stock' FROM product`, `
INSERT INTO booking (id, user_id, product_id, total_amount, status, hold_token, hold_expires_at, check_in_at, failure_code, created_at)
OVERRIDING SYSTEM VALUE
SELECT n, n, product, 100000, CASE WHEN sold THEN 'CONFIRMED' WHEN cancelled THEN 'CANCELLED' ELSE 'FAILED' END,
    md5(n::text), now() - interval '1 hour', now() + interval '30 days', CASE WHEN kind = 9 THEN 'HOLD_EXPIRED' END, now() - interval '2 hours'
FROM bulk ORDER BY n`, `
INSERT INTO payment (id, booking_id, payment_method, amount, status, order_id)
OVERRIDING SYSTEM VALUE
SELECT n, n, CASE WHEN points THEN 'POINT' ELSE 'CARD' END, 100000, CASE WHEN sold THEN 'SUCCESS' ELSE 'CANCELLED' END,
    CASE WHEN NOT points THEN 'sh-' || md5(n::text) END
FROM bulk WHERE kind < 9 ORDER BY n`, `
INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount)
SELECT n, n, a.kind, a.state, 'sh-' || md5(n::text), lower(a.kind) || '-sh-' || md5(n::text), 'ok-' || n, 100000
FROM bulk, (VALUES ('APPROVE', 'APPROVED'), ('CANCEL', 'DONE')) AS a (kind, state)
WHERE bulk.kind < 9 AND NOT points AND (a.kind = 'APPROVE' OR cancelled) ORDER BY n`, `
INSERT INTO user_point (user_id, balance) SELECT n, CASE WHEN sold THEN 0 ELSE 100000 END FROM bulk WHERE points`, `
INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
SELECT n, l.delta, l.kind, CASE WHEN l.kind <> 'GRANT' THEN n END, 'bulk'
FROM bulk, (VALUES ('GRANT', 100000), ('DEBIT', -100000), ('CREDIT', 100000)) AS l (kind, delta)
WHERE points AND (l.kind <> 'CREDIT' OR cancelled) ORDER BY n`, `
INSERT INTO outbox (booking_id, task, sent_at) SELECT n, 'compensate', now() FROM bulk WHERE kind > 6 ORDER BY n`, `
INSERT INTO booking_event (booking_id, event)
SELECT n, e.event
FROM bulk, (VALUES (1, 'HELD'), (2, 'REGISTERED'), (3, 'CHARGED'), (4, 'CONFIRMED'), (5, 'CANCELLED'), (6, 'FAILED')) AS e (step, event)
WHERE e.step = 1 OR kind < 9 AND (e.step < 5 OR e.step = 5 AND cancelled) OR kind = 9 AND e.step = 6
ORDER BY n, e.step`, `
SELECT setval(pg_get_serial_sequence(t, 'id'), (SELECT max(n) FROM bulk)) FROM unnest(ARRAY['product', 'booking', 'payment']) AS t`,
}

// Bulk fills an empty, migrated database with so many products and bookings, all of them sound, and gathers the
// planner's statistics. It wants a superuser: a million rows are not held against their foreign keys one by one.
func Bulk(ctx context.Context, url string, products, bookings int64) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything is committed, or failed, by then
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, bulkTableSQL, products, bookings); err != nil {
			return err
		}
		for _, sql := range bulkSQL {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `VACUUM ANALYZE`)
	return err
}
