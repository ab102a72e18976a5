package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// attempt is one buyer who wants a unit of a product; false: there is none left.
type attempt func(ctx context.Context, user, product int64) (bool, error)

// The two usual designs without a gate, on the tables of the sale: a reserve takes its unit from the product's row. The
// timeline, the cap on open holds and idempotency keys, which a reserve here has too, are left out in their favour, and
// taking and booking are one statement; nothing is left out that keeps them from selling more than there is.
const (
	lockProductSQL = `SELECT remaining_stock FROM product WHERE id = $1 FOR UPDATE`
	takeLockedSQL  = `
WITH taken AS (
    UPDATE product SET remaining_stock = remaining_stock - 1, updated_at = now() WHERE id = $2 RETURNING id, price, check_in_at)
INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
SELECT $1, id, price, $3, now() + interval '1 hour', check_in_at FROM taken`

	readProductSQL = `SELECT remaining_stock, version FROM product WHERE id = $1`
	takeVersionSQL = `
WITH taken AS (
    UPDATE product SET remaining_stock = remaining_stock - 1, version = version + 1, updated_at = now()
    WHERE id = $2 AND version = $4 RETURNING id, price, check_in_at)
INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
SELECT $1, id, price, $3, now() + interval '1 hour', check_in_at FROM taken`
)

var errGone = errors.New("no unit is left")

// byLock locks the product's row, looks, takes and books: one buyer after the other, from the look to the commit.
func (l *lab) byLock(ctx context.Context) (attempt, error) {
	conn, err := l.bare(ctx, l.database)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, user, product int64) (bool, error) {
		token, err := newToken()
		if err != nil {
			return false, err
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var left int
			if err := tx.QueryRow(ctx, lockProductSQL, product).Scan(&left); err != nil {
				return err
			}
			if left == 0 {
				return errGone
			}
			_, err := tx.Exec(ctx, takeLockedSQL, user, product, token)
			return err
		})
		if errors.Is(err, errGone) {
			return false, nil
		}
		return err == nil, err
	}, nil
}

// byVersion looks without a lock, and takes and books if nobody has taken meanwhile; else it looks again.
func (l *lab) byVersion(ctx context.Context) (attempt, error) {
	conn, err := l.bare(ctx, l.database)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, user, product int64) (bool, error) {
		token, err := newToken()
		if err != nil {
			return false, err
		}
		for {
			var left int
			var version int64
			if err := conn.QueryRow(ctx, readProductSQL, product).Scan(&left, &version); err != nil || left == 0 {
				return false, err
			}
			done, err := conn.Exec(ctx, takeVersionSQL, user, product, token, version)
			if err != nil || done.RowsAffected() == 1 {
				return err == nil, err
			}
		}
	}, nil
}
