package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

const bookingSQL = `
SELECT booking_json(b, payments_json(b.id)) || jsonb_build_object('timeline', coalesce((
    SELECT jsonb_agg(jsonb_build_object('at', e.at, 'event', e.event, 'detail', e.detail) ORDER BY e.id)
    FROM booking_event e WHERE e.booking_id = b.id), '[]'))
FROM booking b WHERE b.id = $1 AND (b.user_id = $2 OR $2 = 0)`

// Booking reads one booking of the user (0: of anybody) with its timeline.
func (s *Store) Booking(ctx context.Context, userID, bookingID int64) (booking.Booking, error) {
	var raw []byte
	err := s.read(ctx, func(c *pgxpool.Conn) error { return c.QueryRow(ctx, bookingSQL, bookingID, userID).Scan(&raw) })
	if err != nil {
		return booking.Booking{}, orNothing(err, booking.ErrBookingNotFound)
	}
	return decodeBooking(raw)
}

func scanBooking(row pgx.CollectableRow) (booking.Booking, error) {
	var raw []byte
	if err := row.Scan(&raw); err != nil {
		return booking.Booking{}, err
	}
	return decodeBooking(raw)
}

// A parameter has the type of its first use: beside 0 alone, a cursor would be an int4.
const bookingsSQL = `
SELECT booking_json(b, payments_json(b.id))
FROM booking b
WHERE b.user_id = $1 AND ($2 = '' OR b.status = $2) AND ($3::bigint = 0 OR b.id < $3)
ORDER BY b.id DESC LIMIT $4`

// BookingsOf reads a page of the user's bookings, newest first.
func (s *Store) BookingsOf(ctx context.Context, userID int64, status booking.Status, page booking.Page) ([]booking.Booking, error) {
	return queryAll(ctx, s, bookingsSQL, scanBooking, userID, string(status), page.Cursor, page.Limit)
}

const productColumns = `p.id, p.name, p.price::text, p.status, p.total_stock, p.remaining_stock, p.sale_start_at, p.check_in_at, p.check_out_at`

func scanProduct(row pgx.CollectableRow) (booking.Product, error) {
	var p booking.Product
	var price string
	err := row.Scan(&p.ID, &p.Name, &price, &p.Status, &p.Total, &p.Remaining, &p.SaleStartAt, &p.CheckInAt, &p.CheckOutAt)
	if err != nil {
		return p, err
	}
	p.Price, err = decimal.NewFromString(price)
	return p, err
}

const productSQL = `SELECT ` + productColumns + ` FROM product p WHERE p.id = $1 AND p.status <> 'INACTIVE'`

// Product reads a product that is for sale.
func (s *Store) Product(ctx context.Context, productID int64) (booking.Product, error) {
	list, err := queryAll(ctx, s, productSQL, scanProduct, productID)
	if err != nil {
		return booking.Product{}, err
	}
	if len(list) == 0 {
		return booking.Product{}, booking.ErrProductNotFound
	}
	return list[0], nil
}

const productsSQL = `
SELECT ` + productColumns + `
FROM product p WHERE p.id > $1 AND p.status <> 'INACTIVE' ORDER BY p.id LIMIT $2`

// Products reads a page of what is for sale.
func (s *Store) Products(ctx context.Context, page booking.Page) ([]booking.Product, error) {
	return queryAll(ctx, s, productsSQL, scanProduct, page.Cursor, page.Limit)
}

const freeUnitsSQL = `
SELECT greatest(0, coalesce((SELECT remaining_stock FROM product WHERE id = wanted.id), 0) - coalesce(h.held, 0))
FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted(id, place)
LEFT JOIN (
    SELECT product_id, count(*) AS held FROM booking
    WHERE product_id = ANY($1) AND status IN ('INIT', 'PAYMENT_PENDING') AND hold_expires_at > now()
    GROUP BY product_id) h ON h.product_id = wanted.id
ORDER BY wanted.place`

// FreeUnits derives what a cold gate would admit. Holds that live are few beside what was sold,
// and are read once for all products.
func (s *Store) FreeUnits(ctx context.Context, productIDs []int64) ([]int64, error) {
	return queryAll(ctx, s, freeUnitsSQL, pgx.RowTo[int64], productIDs)
}

// A user's bookings are few, a product's many: + 0 keeps off the indexes by product, as in
// open_booking.
const checkoutSQL = `
SELECT p.id, p.name, p.price::text, p.status, p.total_stock, p.remaining_stock, p.sale_start_at, p.check_in_at, p.check_out_at,
    coalesce((SELECT balance FROM user_point WHERE user_id = $1), 0)::text,
    (SELECT booking_json(b, payments_json(b.id)) FROM booking b
     WHERE b.user_id = $1 AND b.product_id + 0 = p.id AND b.status || '' IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED')),
    now()
FROM product p WHERE p.id = $2 AND p.status <> 'INACTIVE'`

// Checkout reads a product beside the user's points and open booking.
func (s *Store) Checkout(ctx context.Context, userID, productID int64) (booking.CheckoutView, error) {
	var v booking.CheckoutView
	var price, points string
	var raw []byte
	p := &v.Product
	err := s.read(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, checkoutSQL, userID, productID).Scan(&p.ID, &p.Name, &price, &p.Status, &p.Total,
			&p.Remaining, &p.SaleStartAt, &p.CheckInAt, &p.CheckOutAt, &points, &raw, &v.ReadAt)
	})
	if err != nil {
		return v, orNothing(err, booking.ErrProductNotFound)
	}
	if p.Price, err = decimal.NewFromString(price); err != nil {
		return v, booking.ErrInternal.Because(err)
	}
	if v.Points, err = decimal.NewFromString(points); err != nil {
		return v, booking.ErrInternal.Because(err)
	}
	if raw != nil {
		b, err := decodeBooking(raw)
		if err != nil {
			return v, err
		}
		v.Booking = &b
	}
	return v, nil
}

const pointsSQL = `SELECT coalesce((SELECT balance FROM user_point WHERE user_id = $1), 0)::text`

// Points reads a balance; a user without any has 0.
func (s *Store) Points(ctx context.Context, userID int64) (decimal.Decimal, error) {
	return s.amount(ctx, s.read, pointsSQL, userID)
}

// amount runs a statement that answers with one amount.
func (s *Store) amount(ctx context.Context, how func(context.Context, func(*pgxpool.Conn) error) error, sql string, args ...any) (decimal.Decimal, error) {
	var text string
	err := how(ctx, func(c *pgxpool.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&text) })
	if err != nil {
		return decimal.Zero, err
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return d, booking.ErrInternal.Because(err)
	}
	return d, nil
}

const factsSQL = `
SELECT id, version, total_stock, sale_start_at, check_in_at, status <> 'INACTIVE' FROM product WHERE id = $1`

func scanFacts(row pgx.Row) (booking.Facts, error) {
	var f booking.Facts
	err := row.Scan(&f.ProductID, &f.Version, &f.Stock, &f.SaleStartAt, &f.CheckInAt, &f.Active)
	return f, err
}

// ProductFacts reads what a gate must know of a product.
func (s *Store) ProductFacts(ctx context.Context, productID int64) (f booking.Facts, err error) {
	err = s.read(ctx, func(c *pgxpool.Conn) error {
		f, err = scanFacts(c.QueryRow(ctx, factsSQL, productID))
		return err
	})
	return f, orNothing(err, booking.ErrProductNotFound)
}

const placesSQL = `
SELECT user_id, hold_token, id, hold_expires_at, status = 'CONFIRMED'
FROM booking
WHERE product_id = $1 AND status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED')
  AND (status = 'CONFIRMED' OR hold_expires_at > now())`

const placesOfSQL = placesSQL + ` AND user_id = ANY($2)`

// GatePlaces reads the facts first, and then the places of all users.
func (s *Store) GatePlaces(ctx context.Context, productID int64) (booking.Facts, []booking.Place, error) {
	facts, err := s.ProductFacts(ctx, productID)
	if err != nil {
		return facts, nil, err
	}
	places, err := s.places(ctx, placesSQL, productID)
	return facts, places, err
}

// PlacesOf reads the places of some users.
func (s *Store) PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	return s.places(ctx, placesOfSQL, productID, userIDs)
}

const openPlacesSQL = `
SELECT user_id, hold_token, id, hold_expires_at, status = 'CONFIRMED'
FROM booking
WHERE product_id = $1 AND id > $2 AND status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED')
  AND (status = 'CONFIRMED' OR hold_expires_at > now())
ORDER BY id LIMIT $3`

// OpenPlaces reads one page of the places of all users.
func (s *Store) OpenPlaces(ctx context.Context, productID, after int64, limit int) ([]booking.Place, error) {
	return s.places(ctx, openPlacesSQL, productID, after, limit)
}

func (s *Store) places(ctx context.Context, sql string, args ...any) ([]booking.Place, error) {
	rows, err := queryAll(ctx, s, sql, pgx.RowToStructByPos[place], args...)
	list := make([]booking.Place, len(rows))
	for i, r := range rows {
		list[i] = booking.Place(r)
	}
	return list, err
}

// place is booking.Place in the order of its columns.
type place struct {
	UserID    int64
	Token     string
	BookingID int64
	Deadline  time.Time
	Confirmed bool
}
