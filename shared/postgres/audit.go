package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"stayhold/shared/booking"
)

// An invariant is a statement that finds what breaks it among the rows whose ids are in
// $1: a line for a person, which says what is wrong and what to do, and the bookings
// concerned. Invariants that hold once all is quiet leave out what a live attempt,
// lease, message or hold still speaks for.
//
// Each table is bound to the page by itself: a page is then read by index, and joined in
// memory, whatever the planner takes the tables for.
type invariant struct{ name, sql string }

// ofProducts are judged for each product.
var ofProducts = []invariant{
	{"I1", `
SELECT format('product %s has a stock of %s, which is not %s unsold and %s sold; compare its confirmed bookings with stock_adjustment, then adjust-stock',
    p.id, p.total_stock, p.remaining_stock, n.confirmed), ARRAY[]::bigint[]
FROM product p, LATERAL (SELECT count(*) AS confirmed FROM booking b WHERE b.product_id = p.id AND b.status = 'CONFIRMED') n
WHERE p.id = ANY($1) AND (p.total_stock <> p.remaining_stock + n.confirmed OR p.remaining_stock < 0)`},
	{"I1", `
SELECT format('product %s has a stock of %s, and its adjustments come to %s; find who changed the row, then write the missing stock_adjustment',
    p.id, p.total_stock, n.adjusted), ARRAY[]::bigint[]
FROM product p, LATERAL (SELECT coalesce(sum(delta), 0) AS adjusted FROM stock_adjustment a WHERE a.product_id = p.id) n
WHERE p.id = ANY($1) AND p.total_stock <> n.adjusted`},
	{"I9", `
SELECT format('product %s has the price %s, which is no amount; put it right with put-product', p.id, p.price), ARRAY[]::bigint[]
FROM product p WHERE p.id = ANY($1) AND ` + noAmount("p.price")},
}

// ofUsers are judged for each user with points. $1 are user ids.
var ofUsers = []invariant{
	{"I6", `
SELECT format('user %s has %s points, and his ledger comes to %s; find the movement without a row, then put it right with grant-points',
    u.user_id, u.balance, n.sum), ` + bookingsWithPoints + `
FROM user_point u, LATERAL (SELECT coalesce(sum(delta), 0) AS sum FROM point_ledger l WHERE l.user_id = u.user_id) n
WHERE u.user_id = ANY($1) AND (u.balance <> n.sum OR u.balance < 0)`},
	{"I9", `
SELECT format('user %s has %s points, or a movement of them, which is no amount; put it right with grant-points', u.user_id, u.balance), ` + bookingsWithPoints + `
FROM user_point u, LATERAL (SELECT count(*) AS odd FROM point_ledger l WHERE l.user_id = u.user_id AND ` + noAmount("l.delta") + `) n
WHERE u.user_id = ANY($1) AND (n.odd > 0 OR ` + noAmount("u.balance") + `)`},
}

const bookingsWithPoints = `ARRAY(
    SELECT DISTINCT p.booking_id FROM point_ledger l JOIN payment p ON p.id = l.payment_id
    WHERE l.user_id = u.user_id ORDER BY p.booking_id LIMIT 100)`

// noAmount is true of what can be no money: a third decimal, and NaN or an infinity,
// which have no scale.
func noAmount(column string) string { return `coalesce(scale(` + column + `) > 2, true)` }

// breachLimit bounds how much of one invariant's breaches is reported, auditPage how
// many rows one statement judges.
const (
	breachLimit = 100
	auditPage   = 1000
)

// The pages of what is judged: ids after $1.
const (
	allProductsSQL     = `SELECT id FROM product WHERE id > $1 ORDER BY id LIMIT $2`
	allUsersSQL        = `SELECT user_id FROM user_point WHERE user_id > $1 ORDER BY user_id LIMIT $2`
	allBookingsSQL     = `SELECT id FROM booking WHERE id > $1 ORDER BY id LIMIT $2`
	productBookingsSQL = `SELECT id FROM booking WHERE id > $1 AND product_id = $3 ORDER BY id LIMIT $2`
)

// Breaches holds every database invariant against the rows, page by page: each
// statement sees one page at one moment, and no transaction lasts longer. One product's
// are its own rows and its bookings'; balances belong to no product.
func (s *Store) Breaches(ctx context.Context, productID int64) ([]booking.Breach, error) {
	a := audit{store: s, found: []booking.Breach{}, had: map[string]int{}}
	if productID != 0 {
		err := a.judge(ctx, ofProducts, []int64{productID})
		if err == nil {
			err = a.pages(ctx, ofBookings, s.bookingPages(productID))
		}
		return a.found, err
	}
	for _, kind := range []struct {
		invariants []invariant
		next       pager
	}{{ofProducts, s.pagesOf(allProductsSQL)}, {ofUsers, s.pagesOf(allUsersSQL)}, {ofBookings, s.bookingPages(0)}} {
		if err := a.pages(ctx, kind.invariants, kind.next); err != nil {
			return a.found, err
		}
	}
	return a.found, nil
}

// A pager reads the page of ids that follows one; an empty page ends.
type pager func(ctx context.Context, after int64) ([]int64, error)

func (s *Store) pagesOf(sql string, more ...any) pager {
	return func(ctx context.Context, after int64) ([]int64, error) {
		return queryAll(ctx, s, sql, pgx.RowTo[int64], append([]any{after, auditPage}, more...)...)
	}
}

// bookingPages reads the ids of one product's bookings, or (0) of all.
func (s *Store) bookingPages(productID int64) pager {
	if productID != 0 {
		return s.pagesOf(productBookingsSQL, productID)
	}
	return s.pagesOf(allBookingsSQL)
}

// audit collects breaches.
type audit struct {
	store *Store
	found []booking.Breach
	had   map[string]int // how many breaches each statement has found
}

func (a *audit) pages(ctx context.Context, invariants []invariant, next pager) error {
	for after := int64(0); ; {
		ids, err := next(ctx, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := a.judge(ctx, invariants, ids); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

type breach struct {
	Detail     string
	BookingIDs []int64
}

// judge sends all statements on one page at once.
func (a *audit) judge(ctx context.Context, invariants []invariant, ids []int64) error {
	var asked []invariant
	batch := &pgx.Batch{}
	for _, i := range invariants {
		if room := breachLimit - a.had[i.sql]; room > 0 {
			batch.Queue(i.sql+` LIMIT $2`, ids, room)
			asked = append(asked, i)
		}
	}
	found := make([][]breach, len(asked))
	err := a.store.read(ctx, func(c *pgxpool.Conn) (err error) {
		answers := c.SendBatch(ctx, batch)
		defer func() { err = errors.Join(err, answers.Close()) }()
		for i := range asked {
			rows, _ := answers.Query() // a statement that failed says so in its rows
			if found[i], err = pgx.CollectRows(rows, pgx.RowToStructByPos[breach]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, list := range found {
		a.had[asked[i].sql] += len(list)
		for _, b := range list {
			a.found = append(a.found, booking.Breach{Invariant: asked[i].name, Detail: b.Detail, BookingIDs: b.BookingIDs})
		}
	}
	return nil
}
