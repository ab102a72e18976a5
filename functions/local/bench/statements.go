package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// The seven statements that a complete is where no routine does it, in the order in which one writes them: what has to
// be known before the next is sent comes back from the one before. Each leaves the rows that complete_booking leaves.
const (
	lockBookingSQL = `
SELECT status, product_id, total_amount::text FROM booking
WHERE id = $1 AND user_id = $2 AND hold_expires_at > clock_timestamp() + interval '5 seconds' FOR UPDATE`
	readPaymentsSQL = `
SELECT p.id, p.payment_method, p.amount::text, p.status, coalesce(a.state, ''), EXISTS (
    SELECT FROM payment_attempt c WHERE c.payment_id = p.id AND c.kind = 'CANCEL')
FROM payment p LEFT JOIN payment_attempt a ON a.payment_id = p.id AND a.kind = 'APPROVE'
WHERE p.booking_id = $1 AND p.status IN ('READY', 'SUCCESS')`
	debitPointsSQL = `
WITH debited AS (
    UPDATE user_point SET balance = balance - $2::numeric, updated_at = now() WHERE user_id = $1 AND balance >= $2::numeric RETURNING user_id)
INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
SELECT user_id, -$2::numeric, 'DEBIT', $3, format('booking %s', $4::bigint) FROM debited`
	takeStockSQL = `
UPDATE product SET remaining_stock = remaining_stock - 1, updated_at = now() WHERE id = $1 AND remaining_stock > 0`
	settlePaymentSQL = `
UPDATE payment SET status = 'SUCCESS', updated_at = now() WHERE id = $1 AND status = 'READY'`
	confirmBookingSQL = `
UPDATE booking SET status = 'CONFIRMED', updated_at = now() WHERE id = $1 AND status = 'PAYMENT_PENDING'`
	timelineSQL = `
INSERT INTO booking_event (booking_id, event, detail) VALUES ($1, 'POINTS_DEBITED', $2), ($1, 'CONFIRMED', '')`
)

// bareStatements is what a complete is set against with Postgres apart: a transaction of seven statements, then the
// script. Nothing of what it must look at is left out, nothing is sent twice, and the driver keeps the statements by name.
func (l *lab) bareStatements(ctx context.Context, database string, s *supply) (call, error) {
	return l.bareBy(ctx, database, s, func(ctx context.Context, conn *pgx.Conn, p paid) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return sevenStatements(ctx, tx, p) })
	})
}

func sevenStatements(ctx context.Context, tx pgx.Tx, p paid) error {
	var status, total string
	var product int64
	if err := tx.QueryRow(ctx, lockBookingSQL, p.id, p.user).Scan(&status, &product, &total); err != nil {
		return err
	}
	if status != "PAYMENT_PENDING" {
		return fmt.Errorf("booking %d is %s", p.id, status)
	}
	points, err := payable(ctx, tx, p.id, total)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		sql  string
		args []any
		rows int64
	}{
		{debitPointsSQL, []any{p.user, points.amount, points.id, p.id}, 1},
		{takeStockSQL, []any{product}, 1},
		{settlePaymentSQL, []any{points.id}, 1},
		{confirmBookingSQL, []any{p.id}, 1},
		{timelineSQL, []any{p.id, points.amount}, 2},
	} {
		done, err := tx.Exec(ctx, one.sql, one.args...)
		if err == nil && done.RowsAffected() != one.rows {
			err = fmt.Errorf("booking %d: %d rows, not %d, from%s", p.id, done.RowsAffected(), one.rows, one.sql)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part is a payment by points.
type part struct {
	id     int64
	amount string
}

// payable reads the payments, and wants points that wait and a card that was charged for the rest.
func payable(ctx context.Context, tx pgx.Tx, id int64, total string) (points part, err error) {
	rows, err := tx.Query(ctx, readPaymentsSQL, id)
	if err != nil {
		return points, err
	}
	var sum decimal.Decimal
	var one part
	var method, status, attempt string
	var refunded bool
	_, err = pgx.ForEachRow(rows, []any{&one.id, &method, &one.amount, &status, &attempt, &refunded}, func() error {
		amount, err := decimal.NewFromString(one.amount)
		switch {
		case err != nil:
			return err
		case method == "POINT":
			points = one
		case status != "SUCCESS" || attempt != "APPROVED" || refunded:
			return errors.New("the card was not charged")
		}
		sum = sum.Add(amount)
		return nil
	})
	if err == nil && sum.StringFixed(2) != total {
		err = fmt.Errorf("booking %d: %s is paid, not %s", id, sum, total)
	}
	return points, err
}
