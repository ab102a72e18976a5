package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// What a live attempt, a refund that is commanded, an unsent message or an open sale
// that is paid still speaks for is not settled.
const accountsSQL = `
SELECT p.order_id, b.id, b.product_id,
    (CASE WHEN b.status = 'CONFIRMED' AND p.status = 'SUCCESS' THEN p.amount ELSE 0 END)::text,
    NOT (b.status IN ('INIT', 'PAYMENT_PENDING') AND p.status = 'SUCCESS')
    AND NOT EXISTS (SELECT FROM payment_attempt a WHERE a.payment_id = p.id AND a.state IN ('REQUESTED', 'UNKNOWN', 'PENDING'))
    AND NOT EXISTS (SELECT FROM outbox o WHERE o.booking_id = b.id AND o.sent_at IS NULL)
FROM payment p JOIN booking b ON b.id = p.booking_id
WHERE p.order_id = ANY($1)`

// AccountsOf reads the payments of some orders.
func (s *Store) AccountsOf(ctx context.Context, orderIDs []string) ([]booking.Account, error) {
	return queryAll(ctx, s, accountsSQL, scanAccount, orderIDs)
}

func scanAccount(row pgx.CollectableRow) (booking.Account, error) {
	var a booking.Account
	var kept string
	if err := row.Scan(&a.OrderID, &a.BookingID, &a.ProductID, &kept, &a.Settled); err != nil {
		return a, err
	}
	var err error
	a.Kept, err = decimal.NewFromString(kept)
	return a, err
}

const soldOrdersSQL = `
SELECT p.order_id
FROM booking b JOIN payment p ON p.booking_id = b.id AND p.booking_id = ANY($1)
WHERE b.id = ANY($1) AND b.status = 'CONFIRMED' AND p.status = 'SUCCESS' AND p.order_id IS NOT NULL`

// SoldOrders reads the orders of one page of CONFIRMED bookings.
func (s *Store) SoldOrders(ctx context.Context, productID, after int64) (orderIDs []string, next int64, err error) {
	ids, err := s.bookingPages(productID)(ctx, after)
	if err != nil || len(ids) == 0 {
		return nil, 0, err
	}
	orderIDs, err = queryAll(ctx, s, soldOrdersSQL, pgx.RowTo[string], ids)
	return orderIDs, ids[len(ids)-1], err
}
