package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

const insertProductSQL = `SELECT insert_product($1, $2, $3, $4, $5, $6, $7)`

const updateProductSQL = `SELECT update_product($1, $2, $3, $4, $5, $6, $7)`

// PutProduct inserts a product, or changes one but for its stock.
func (s *Store) PutProduct(ctx context.Context, d booking.ProductDraft) (id int64, err error) {
	err = s.write(ctx, func(c *pgxpool.Conn) error {
		if d.ID == 0 {
			return c.QueryRow(ctx, insertProductSQL, d.Name, d.Price.String(), *d.Stock,
				d.SaleStartAt, d.CheckInAt, d.CheckOutAt, d.Status).Scan(&id)
		}
		return c.QueryRow(ctx, updateProductSQL, d.ID, d.Name, d.Price.String(),
			d.SaleStartAt, d.CheckInAt, d.CheckOutAt, d.Status).Scan(&id)
	})
	return id, orNothing(err, booking.ErrProductNotFound)
}

const adjustStockSQL = `SELECT product_id, total, remaining FROM adjust_stock($1, $2, $3)`

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

const redriveOneSQL = `SELECT redrive_booking($1)`

const redriveSomeSQL = `SELECT redrive_some($1)`

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
