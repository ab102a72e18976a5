package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

const insertProductSQL = `
WITH made AS (
    INSERT INTO product (name, price, remaining_stock, total_stock, sale_start_at, check_in_at, check_out_at, status)
    VALUES ($1, $2::numeric, $3, $3, $4, $5, $6, $7)
    RETURNING id
)
INSERT INTO stock_adjustment (product_id, delta, reason)
SELECT id, $3, 'first stock' FROM made
RETURNING product_id`

const updateProductSQL = `
UPDATE product SET name = $1, price = $2::numeric, sale_start_at = $3, check_in_at = $4, check_out_at = $5,
    status = $6, updated_at = now()
WHERE id = $7 RETURNING id`

// PutProduct inserts a product, or changes one but for its stock.
func (s *Store) PutProduct(ctx context.Context, d booking.ProductDraft) (id int64, err error) {
	err = s.write(ctx, func(c *pgxpool.Conn) error {
		if d.ID == 0 {
			return c.QueryRow(ctx, insertProductSQL, d.Name, d.Price.String(), *d.Stock,
				d.SaleStartAt, d.CheckInAt, d.CheckOutAt, d.Status).Scan(&id)
		}
		return c.QueryRow(ctx, updateProductSQL, d.Name, d.Price.String(),
			d.SaleStartAt, d.CheckInAt, d.CheckOutAt, d.Status, d.ID).Scan(&id)
	})
	return id, orNothing(err, booking.ErrProductNotFound)
}

const adjustStockSQL = `
WITH moved AS (
    UPDATE product SET total_stock = total_stock + $2, remaining_stock = remaining_stock + $2, updated_at = now()
    WHERE id = $1
    RETURNING id, total_stock, remaining_stock
), noted AS (
    INSERT INTO stock_adjustment (product_id, delta, reason) SELECT id, $2, $3 FROM moved
)
SELECT id, total_stock, remaining_stock FROM moved`

// AdjustStock moves total and remaining stock together.
func (s *Store) AdjustStock(ctx context.Context, productID, delta int64, reason string) (booking.Stock, error) {
	var stock booking.Stock
	err := s.write(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, adjustStockSQL, productID, delta, reason).Scan(&stock.ProductID, &stock.Total, &stock.Remaining)
	})
	return stock, orNothing(err, booking.ErrProductNotFound)
}

const grantPointsSQL = `SELECT grant_points($1, $2, $3)`

// GrantPoints moves a balance by a signed amount.
func (s *Store) GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	return s.amount(ctx, s.write, grantPointsSQL, userID, amount.String(), reason)
}

const attemptsSQL = `SELECT to_jsonb(a) - 'owner' FROM payment_attempt a WHERE booking_id = $1 ORDER BY id`

const messagesSQL = `SELECT to_jsonb(o) FROM outbox o WHERE booking_id = $1 ORDER BY id`

// Explain reads a booking with every row that speaks of it.
func (s *Store) Explain(ctx context.Context, bookingID int64) (booking.Explanation, error) {
	var e booking.Explanation
	var err error
	if e.Booking, err = s.Booking(ctx, 0, bookingID); err != nil {
		return e, err
	}
	if e.Attempts, err = queryAll(ctx, s, attemptsSQL, pgx.RowTo[map[string]any], bookingID); err != nil {
		return e, err
	}
	e.Outbox, err = queryAll(ctx, s, messagesSQL, pgx.RowTo[map[string]any], bookingID)
	return e, err
}

const redriveOneSQL = `
WITH attempts AS (
    UPDATE payment_attempt SET next_try_at = now()
    WHERE booking_id = $1 AND state IN ('UNKNOWN', 'PENDING') AND (lease_until IS NULL OR lease_until <= now())
    RETURNING booking_id
)
SELECT booking_id FROM attempts
UNION SELECT booking_id FROM outbox WHERE booking_id = $1 AND sent_at IS NULL`

// redriveSomeSQL takes a bounded number of those that would wait longest, so that no
// row stays locked for long; what somebody has locked, he is at work on.
const redriveSomeSQL = `
UPDATE payment_attempt SET next_try_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM payment_attempt
    WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING') AND next_try_at > now()
      AND state <> 'REQUESTED' AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY next_try_at DESC LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING booking_id`

const unsentBookingsSQL = `SELECT DISTINCT booking_id FROM outbox WHERE sent_at IS NULL`

const redriveBatch = 500

// Redrive makes what waits for a later try due now; messages that were not sent are due
// as they are.
func (s *Store) Redrive(ctx context.Context, bookingID int64) ([]int64, error) {
	ids := []int64{}
	if bookingID != 0 {
		_, err := s.move(ctx, &ids, redriveOneSQL, bookingID)
		return ids, err
	}
	for moved := redriveBatch; moved == redriveBatch; {
		var err error
		if moved, err = s.move(ctx, &ids, redriveSomeSQL, redriveBatch); err != nil {
			return ids, err
		}
	}
	unsent, err := queryAll(ctx, s, unsentBookingsSQL, pgx.RowTo[int64])
	ids = append(ids, unsent...)
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// move runs a statement that changes rows and tells of their bookings.
func (s *Store) move(ctx context.Context, ids *[]int64, sql string, arg any) (moved int, err error) {
	err = s.write(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, sql, arg)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		moved = len(list)
		*ids = append(*ids, list...)
		return err
	})
	return moved, err
}
