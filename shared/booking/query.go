package booking

import (
	"context"
	"sync"

	"github.com/shopspring/decimal"
)

// Query reads for buyers and never writes. What is available comes from the gate; a
// cold gate is left cold, and the database is asked instead.
type Query struct {
	Store Reader
	Gate  Gate
}

// Booking reads one of the user's bookings with its timeline. ErrBookingNotFound.
func (q Query) Booking(ctx context.Context, userID, bookingID int64) (Booking, error) {
	return q.Store.Booking(ctx, userID, bookingID)
}

// Bookings reads a page of the user's bookings, newest first; next is the cursor of
// the page after, 0 at the end. An empty status means all.
func (q Query) Bookings(ctx context.Context, userID int64, status Status, page Page) (list []Booking, next int64, err error) {
	list, err = q.Store.BookingsOf(ctx, userID, status, page.andOne())
	if err == nil && len(list) > page.Limit {
		list = list[:page.Limit]
		next = list[page.Limit-1].ID
	}
	return list, next, err
}

// Products reads a page of what is for sale, by id.
func (q Query) Products(ctx context.Context, page Page) (list []Product, next int64, err error) {
	list, err = q.Store.Products(ctx, page.andOne())
	if err != nil {
		return nil, 0, err
	}
	if len(list) > page.Limit {
		list = list[:page.Limit]
		next = list[page.Limit-1].ID
	}
	return list, next, q.fill(ctx, list)
}

// Product reads one product. ErrProductNotFound.
func (q Query) Product(ctx context.Context, productID int64) (Product, error) {
	product, err := q.Store.Product(ctx, productID)
	if err != nil {
		return product, err
	}
	one := []Product{product}
	err = q.fill(ctx, one)
	return one[0], err
}

// Checkout reads what a buyer needs before he reserves: product, his points, and his
// open booking of it. ErrProductNotFound.
func (q Query) Checkout(ctx context.Context, userID, productID int64) (CheckoutView, error) {
	view, err := q.Store.Checkout(ctx, userID, productID)
	if err != nil {
		return view, err
	}
	one := []Product{view.Product}
	err = q.fill(ctx, one)
	view.Product = one[0]
	p := view.Product
	view.Reservable = view.Booking == nil && p.Available > 0 &&
		!view.ReadAt.Before(p.SaleStartAt) && view.ReadAt.Before(p.CheckInAt)
	return view, err
}

// Points reads the user's balance; a user without any has 0.
func (q Query) Points(ctx context.Context, userID int64) (decimal.Decimal, error) {
	return q.Store.Points(ctx, userID)
}

// Health says what cannot be reached: nil is well.
type Health struct {
	Redis    error
	Database error
}

// Health asks gate and database at once.
func (q Query) Health(ctx context.Context) Health {
	var health Health
	var both sync.WaitGroup
	both.Go(func() { _, health.Redis = q.Gate.Occupancies(ctx, 0) })
	both.Go(func() { health.Database = q.Store.Ping(ctx) })
	both.Wait()
	return health
}

// fill writes into each product what is available.
func (q Query) fill(ctx context.Context, products []Product) error {
	if len(products) == 0 {
		return nil
	}
	ids := make([]int64, len(products))
	for i, p := range products {
		ids[i] = p.ID
	}
	occupied, err := q.Gate.Occupancies(ctx, ids...)
	if err != nil {
		return err
	}
	var cold []int64
	for i, o := range occupied {
		products[i].Available = o.Available
		if o.Cold {
			cold = append(cold, ids[i])
		}
	}
	if len(cold) == 0 {
		return nil
	}
	free, err := q.Store.FreeUnits(ctx, cold)
	if err != nil {
		return err
	}
	next := 0
	for i, o := range occupied {
		if o.Cold {
			products[i].Available = free[next]
			next++
		}
	}
	return nil
}

func (p Page) andOne() Page { return Page{Limit: p.Limit + 1, Cursor: p.Cursor} }
