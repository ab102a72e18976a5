package postgrestest

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"
)

// bulkRows says what bulkTables are filled with: $1 products and $2 bookings, spread evenly. Of ten bookings six are sold
// by card, one for points, one of each was sold and cancelled, and one lapsed, of which each tenth is held still. One
// booking of ten was reserved with a key. User n has booking n.
const bulkRows = `
WITH bulk AS (
    SELECT n, 1 + n % $1::bigint AS product, n % 10 AS kind, n % 10 < 7 AS sold, n % 10 IN (6, 8) AS points,
        n % 10 IN (7, 8) AS cancelled, n % 100 = 99 AS held, n % 100 IN (9, 19, 29, 39, 49, 59, 69, 79, 89) AS lapsed
    FROM generate_series(1, $2::bigint) AS n
)`

// bulkTable is a table with the statement that makes its rows as the steps would have left them.
type bulkTable struct{ name, sql string }

// bulkTables begin with what takes longest.
var bulkTables = []bulkTable{
	{"booking", `
INSERT INTO booking (id, user_id, product_id, total_amount, status, hold_token, hold_expires_at, check_in_at, failure_code, created_at)
OVERRIDING SYSTEM VALUE
SELECT n, n, product, 100000, CASE WHEN sold THEN 'CONFIRMED' WHEN cancelled THEN 'CANCELLED' WHEN held THEN 'INIT' ELSE 'FAILED' END,
    md5(n::text), now() + CASE WHEN held THEN interval '4 hours' ELSE interval '-1 hour' END, now() + interval '30 days',
    CASE WHEN lapsed THEN 'HOLD_EXPIRED' END, now() - interval '2 hours'
FROM bulk`},
	{"booking_event", `
INSERT INTO booking_event (booking_id, event)
SELECT n, unnest(CASE
    WHEN held THEN ARRAY['HELD']
    WHEN lapsed THEN ARRAY['HELD', 'FAILED']
    WHEN cancelled THEN ARRAY['HELD', 'REGISTERED', 'CHARGED', 'CONFIRMED', 'CANCELLED']
    ELSE ARRAY['HELD', 'REGISTERED', 'CHARGED', 'CONFIRMED'] END)
FROM bulk`},
	{"payment_attempt", `
INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount)
SELECT n, n, a.kind, a.state, 'sh-' || md5(n::text), lower(a.kind) || '-sh-' || md5(n::text), 'ok-' || n, 100000
FROM bulk, (VALUES ('APPROVE', 'APPROVED'), ('CANCEL', 'DONE')) AS a (kind, state)
WHERE bulk.kind < 9 AND NOT points AND (a.kind = 'APPROVE' OR cancelled)`},
	{"payment", `
INSERT INTO payment (id, booking_id, payment_method, amount, status, order_id)
OVERRIDING SYSTEM VALUE
SELECT n, n, CASE WHEN points THEN 'POINT' ELSE 'CARD' END, 100000, CASE WHEN sold THEN 'SUCCESS' ELSE 'CANCELLED' END,
    CASE WHEN NOT points THEN 'sh-' || md5(n::text) END
FROM bulk WHERE kind < 9`},
	{"point_ledger", `
INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
SELECT n, l.delta, l.kind, CASE WHEN l.kind <> 'GRANT' THEN n END, 'bulk'
FROM bulk, (VALUES ('GRANT', 100000), ('DEBIT', -100000), ('CREDIT', 100000)) AS l (kind, delta)
WHERE points AND (l.kind <> 'CREDIT' OR cancelled)`},
	{"outbox", `
INSERT INTO outbox (booking_id, task, sent_at) SELECT n, 'compensate', now() FROM bulk WHERE cancelled OR lapsed`},
	{"idempotency_key", `
INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome, created_at)
SELECT n, 'POST /bookings/reserve', md5(n::text), md5('{}'), md5(n::text), jsonb_build_object('created', true, 'booking', jsonb_build_object(
    'id', n, 'userId', n, 'productId', product, 'status', 'INIT', 'total', '100000.00', 'holdToken', md5(n::text), 'holdExpiresAt', now(),
    'checkInAt', now(), 'payments', '[]'::jsonb, 'failureCode', '', 'failureDetail', '', 'createdAt', now(), 'updatedAt', now(), 'readAt', now())),
    now() - n % 72000 * interval '1 second'
FROM bulk WHERE kind = 0`},
	{"user_point", `
INSERT INTO user_point (user_id, balance) SELECT n, CASE WHEN sold THEN 0 ELSE 100000 END FROM bulk WHERE points`},
	{"product", `
INSERT INTO product (id, name, price, remaining_stock, total_stock, sale_start_at, check_in_at, check_out_at, status)
OVERRIDING SYSTEM VALUE
SELECT product, 'Room ' || product, 100000, 1000, 1000 + count(*) FILTER (WHERE sold), now() - interval '1 day', now() + interval '30 days', now() + interval '31 days', 'ACTIVE'
FROM bulk GROUP BY product`},
	{"stock_adjustment", `
INSERT INTO stock_adjustment (product_id, delta, reason) SELECT product, 1000 + count(*) FILTER (WHERE sold), 'first stock' FROM bulk GROUP BY product`},
}

// bulkIndexesSQL tells how the indexes of a table that may be missing for a while are dropped and made.
const bulkIndexesSQL = `
SELECT CASE WHEN k.oid IS NULL THEN format('DROP INDEX %I', x.relname) ELSE format('ALTER TABLE %I DROP CONSTRAINT %I', $1::text, k.conname) END,
    CASE WHEN k.oid IS NULL THEN pg_get_indexdef(x.oid) ELSE format('ALTER TABLE %I ADD CONSTRAINT %I %s', $1, k.conname, pg_get_constraintdef(k.oid)) END
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.contype IN ('p', 'u')
WHERE i.indrelid = to_regclass($1) AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.conindid = x.oid AND f.contype = 'f')
ORDER BY x.oid`

const bulkNextSQL = `
SELECT setval(pg_get_serial_sequence(t, 'id'), $1::bigint) FROM unnest(ARRAY['booking', 'payment']) AS t
UNION ALL SELECT setval(pg_get_serial_sequence('product', 'id'), max(id)) FROM product`

// Bulk fills an empty, migrated database with so many products and bookings, all of them sound, and gathers the
// planner's statistics. It wants a superuser: a million rows are not held against their foreign keys one by one. Each
// table is filled by itself, several at a time: after an error some are, and some are not.
func Bulk(ctx context.Context, url string, products, bookings int64) error {
	tables := make(chan bulkTable, len(bulkTables))
	for _, one := range bulkTables {
		tables <- one
	}
	close(tables)
	faults := make([]error, min(runtime.NumCPU(), len(bulkTables)))
	var fillers sync.WaitGroup
	for i := range faults {
		fillers.Go(func() { faults[i] = fillAll(ctx, url, tables, products, bookings) })
	}
	fillers.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return Exec(ctx, url, bulkNextSQL, bookings)
}

// fillAll fills one table after the other, on one connection.
func fillAll(ctx context.Context, url string, tables <-chan bulkTable, products, bookings int64) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything is committed, or failed, by then
	for one := range tables {
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return one.fill(ctx, tx, products, bookings) }); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, `VACUUM ANALYZE `+one.name); err != nil {
			return err
		}
	}
	return nil
}

// fill builds the indexes after the rows, which takes a quarter of the time that they take to grow, and leaves them as
// dense as a REINDEX would.
func (one bulkTable) fill(ctx context.Context, tx pgx.Tx, products, bookings int64) error {
	statements := []string{`SET LOCAL session_replication_role = replica`, `SET LOCAL maintenance_work_mem = '256MB'`}
	rows, err := tx.Query(ctx, bulkIndexesSQL, one.name)
	if err != nil {
		return err
	}
	var builds []string
	var drop, build string
	_, err = pgx.ForEachRow(rows, []any{&drop, &build}, func() error {
		statements, builds = append(statements, drop), append(builds, build)
		return nil
	})
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, bulkRows+one.sql, products, bookings); err != nil {
		return err
	}
	for _, sql := range builds {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
