package bookingtest

import (
	"context"
	"slices"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Booking reads one booking of the user (0: of anybody) with its timeline.
func (d *Database) Booking(_ context.Context, userID, bookingID int64) (booking.Booking, error) {
	defer d.begin()()
	return d.story(userID, bookingID)
}

// story is a booking with its timeline.
func (d *Database) story(userID, bookingID int64) (booking.Booking, error) {
	b := d.row(bookingID)
	if b == nil || userID != 0 && b.UserID != userID {
		return booking.Booking{}, booking.ErrBookingNotFound
	}
	v := d.view(b)
	for _, e := range d.events {
		if e.BookingID == bookingID {
			v.Timeline = append(v.Timeline, booking.Event{At: e.At, Event: e.Event, Detail: e.Detail})
		}
	}
	return v, nil
}

// BookingsOf reads a page of the user's bookings, newest first.
func (d *Database) BookingsOf(_ context.Context, userID int64, status booking.Status, page booking.Page) ([]booking.Booking, error) {
	defer d.begin()()
	list := []booking.Booking{}
	for _, b := range slices.Backward(d.bookings) {
		if b.UserID == userID && (status == "" || b.Status == status) && (page.Cursor == 0 || b.ID < page.Cursor) && len(list) < page.Limit {
			list = append(list, d.view(b))
		}
	}
	return list, nil
}

func (p *ProductRow) domain() booking.Product {
	return booking.Product{
		ID: p.ID, Name: p.Name, Price: p.Price, Status: p.Status, Total: p.TotalStock, Remaining: p.RemainingStock,
		SaleStartAt: p.SaleStartAt, CheckInAt: p.CheckInAt, CheckOutAt: p.CheckOutAt,
	}
}

// onOffer gives a product that buyers may see, or nil.
func (d *Database) onOffer(productID int64) *ProductRow {
	if p := d.product(productID); p != nil && p.Status != inactive {
		return p
	}
	return nil
}

// Product reads a product that is for sale.
func (d *Database) Product(_ context.Context, productID int64) (booking.Product, error) {
	defer d.begin()()
	if p := d.onOffer(productID); p != nil {
		return p.domain(), nil
	}
	return booking.Product{}, booking.ErrProductNotFound
}

// Products reads a page of what is for sale.
func (d *Database) Products(_ context.Context, page booking.Page) ([]booking.Product, error) {
	defer d.begin()()
	list := []booking.Product{}
	for _, p := range d.products {
		if p.ID > page.Cursor && p.Status != inactive && len(list) < page.Limit {
			list = append(list, p.domain())
		}
	}
	return list, nil
}

// FreeUnits derives what a cold gate would admit.
func (d *Database) FreeUnits(_ context.Context, productIDs []int64) ([]int64, error) {
	defer d.begin()()
	list := make([]int64, len(productIDs))
	for i, id := range productIDs {
		p := d.product(id)
		if p == nil {
			continue
		}
		list[i] = p.RemainingStock
		for _, b := range d.bookings {
			if b.ProductID == id && b.Status.Live() && b.HoldExpiresAt.After(d.moment) && list[i] > 0 {
				list[i]--
			}
		}
	}
	return list, nil
}

// Checkout reads a product beside the user's points and open booking.
func (d *Database) Checkout(_ context.Context, userID, productID int64) (booking.CheckoutView, error) {
	defer d.begin()()
	p := d.onOffer(productID)
	if p == nil {
		return booking.CheckoutView{}, booking.ErrProductNotFound
	}
	view := booking.CheckoutView{Product: p.domain(), Points: d.held(userID), ReadAt: d.moment}
	if b := d.openOf(userID, productID); b != nil {
		v := d.view(b)
		view.Booking = &v
	}
	return view, nil
}

// openOf gives the user's open booking of a product, or nil.
func (d *Database) openOf(userID, productID int64) *BookingRow {
	return find(d.bookings, func(b *BookingRow) bool {
		return b.UserID == userID && b.ProductID == productID && open(b.Status)
	})
}

// Points reads a balance; a user without any has 0.
func (d *Database) Points(_ context.Context, userID int64) (decimal.Decimal, error) {
	defer d.begin()()
	return d.held(userID), nil
}

func (d *Database) held(userID int64) decimal.Decimal {
	if u := d.balance(userID); u != nil {
		return u.Balance
	}
	return decimal.Zero
}

// Ping always answers.
func (d *Database) Ping(context.Context) error { return nil }

func (p *ProductRow) facts() booking.Facts {
	return booking.Facts{
		ProductID: p.ID, Version: p.Version, Stock: p.TotalStock,
		SaleStartAt: p.SaleStartAt, CheckInAt: p.CheckInAt, Active: p.Status != inactive,
	}
}

// ProductFacts reads what a gate must know of a product.
func (d *Database) ProductFacts(_ context.Context, productID int64) (booking.Facts, error) {
	defer d.begin()()
	if p := d.product(productID); p != nil {
		return p.facts(), nil
	}
	return booking.Facts{}, booking.ErrProductNotFound
}

// GatePlaces reads the facts, and the places of all users.
func (d *Database) GatePlaces(_ context.Context, productID int64) (booking.Facts, []booking.Place, error) {
	defer d.begin()()
	p := d.product(productID)
	if p == nil {
		return booking.Facts{}, nil, booking.ErrProductNotFound
	}
	return p.facts(), d.places(productID, func(*BookingRow) bool { return true }), nil
}

// PlacesOf reads the places of some users.
func (d *Database) PlacesOf(_ context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	defer d.begin()()
	return d.places(productID, func(b *BookingRow) bool { return slices.Contains(userIDs, b.UserID) }), nil
}

// OpenPlaces pages through the places of all users, by booking id.
func (d *Database) OpenPlaces(_ context.Context, productID, after int64, limit int) ([]booking.Place, error) {
	defer d.begin()()
	places := d.places(productID, func(b *BookingRow) bool { return b.ID > after })
	return places[:min(limit, len(places))], nil
}

// places are the open bookings that still hold or have a unit, by id.
func (d *Database) places(productID int64, wanted func(*BookingRow) bool) []booking.Place {
	places := []booking.Place{}
	for _, b := range d.bookings {
		confirmed := b.Status == booking.Confirmed
		stands := confirmed || b.Status.Live() && b.HoldExpiresAt.After(d.moment)
		if b.ProductID == productID && stands && wanted(b) {
			places = append(places, booking.Place{
				UserID: b.UserID, Token: b.HoldToken, BookingID: b.ID, Deadline: b.HoldExpiresAt, Confirmed: confirmed,
			})
		}
	}
	return places
}
