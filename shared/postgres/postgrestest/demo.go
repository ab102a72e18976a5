package postgrestest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Exec runs one statement on a connection of its own: how a test moves a row's time, or breaks a row.
func Exec(ctx context.Context, url, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql, args...)
	return errors.Join(err, conn.Close(ctx))
}

// Row reads one row on a connection of its own into to: what a test wants to know of the rows.
func Row(ctx context.Context, url, sql string, to ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(conn.QueryRow(ctx, sql).Scan(to...), conn.Close(ctx))
}

// Empty says whether a migrated database has no product yet.
func Empty(ctx context.Context, url string) (empty bool, err error) {
	err = Row(ctx, url, `SELECT NOT EXISTS (SELECT FROM product)`, &empty)
	return empty, err
}

// demoSQL fills an empty database: product 1 (100 units), 2 (10 units, the hot one), 3 (its sale starts in a year), 4
// (INACTIVE), 5 (sold out), at 100000.00 each, and users 1 to 1000 with 50000 points each.
const demoSQL = `
WITH demo (id, name, stock, starts, status) AS (VALUES
    (1, 'Seaside room', 100, interval '-1 hour', 'ACTIVE'),
    (2, 'Midnight suite', 10, interval '-1 hour', 'ACTIVE'),
    (3, 'Next summer''s villa', 20, interval '365 days', 'ACTIVE'),
    (4, 'Closed wing', 10, interval '-1 hour', 'INACTIVE'),
    (5, 'Attic, gone', 0, interval '-1 hour', 'ACTIVE')
), products AS (
    INSERT INTO product (id, name, price, remaining_stock, total_stock, sale_start_at, check_in_at, check_out_at, status)
    OVERRIDING SYSTEM VALUE
    SELECT id, name, 100000, stock, stock, now() + starts, now() + interval '400 days', now() + interval '402 days', status
    FROM demo
    RETURNING id, total_stock
), stock AS (
    INSERT INTO stock_adjustment (product_id, delta, reason) SELECT id, total_stock, 'first stock' FROM products
), users AS (
    INSERT INTO user_point (user_id, balance) SELECT n, 50000 FROM generate_series(1, 1000) AS n RETURNING user_id, balance
)
INSERT INTO point_ledger (user_id, delta, kind, reason) SELECT user_id, balance, 'GRANT', 'demo' FROM users`

// SeedDemo puts the demo data into an empty, migrated database.
func SeedDemo(ctx context.Context, url string) error {
	if err := Exec(ctx, url, demoSQL); err != nil {
		return err
	}
	return Exec(ctx, url, `SELECT setval(pg_get_serial_sequence('product', 'id'), (SELECT max(id) FROM product))`)
}

// Session opens a connection for many statements of one test, one at a time, and closes it with the test.
func Session(t testing.TB, url string) func(sql string, args ...any) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var one sync.Mutex
	return func(sql string, args ...any) error {
		one.Lock()
		defer one.Unlock()
		_, err := conn.Exec(t.Context(), sql, args...)
		return err
	}
}

// Answers opens a connection for many questions of one test, one at a time: a statement that gives one text.
func Answers(t testing.TB, url string) func(sql string, args ...any) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	var one sync.Mutex
	return func(sql string, args ...any) (answer string, err error) {
		one.Lock()
		defer one.Unlock()
		err = conn.QueryRow(t.Context(), sql, args...).Scan(&answer)
		return answer, err
	}
}
