package bookingtest

import (
	"context"
	"slices"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// AccountsOf reads the payments of some orders.
func (d *Database) AccountsOf(_ context.Context, orderIDs []string) ([]booking.Account, error) {
	defer d.begin()()
	accounts := []booking.Account{}
	for _, p := range d.payments {
		if p.OrderID == "" || !slices.Contains(orderIDs, p.OrderID) {
			continue
		}
		b := d.row(p.BookingID)
		kept := decimal.Zero
		if b.Status == booking.Confirmed && p.Status == booking.PaymentSuccess {
			kept = p.Amount
		}
		waits := b.Status.Live() && p.Status == booking.PaymentSuccess ||
			slices.ContainsFunc(d.attempts, func(a *AttemptRow) bool { return a.PaymentID == p.ID && a.State.waiting() }) ||
			slices.ContainsFunc(d.outbox, func(o *OutboxRow) bool { return o.BookingID == b.ID && o.SentAt.IsZero() })
		accounts = append(accounts, booking.Account{
			OrderID: p.OrderID, BookingID: b.ID, ProductID: b.ProductID, Kept: kept, Settled: !waits,
		})
	}
	return accounts, nil
}

// SoldOrders pages through the orders that CONFIRMED bookings were paid with.
func (d *Database) SoldOrders(_ context.Context, productID, after int64) (orderIDs []string, next int64, err error) {
	defer d.begin()()
	for _, b := range d.bookings {
		if b.ID <= after || productID != 0 && b.ProductID != productID {
			continue
		}
		next = b.ID
		for _, p := range d.payments {
			if p.BookingID == b.ID && p.OrderID != "" && b.Status == booking.Confirmed && p.Status == booking.PaymentSuccess {
				orderIDs = append(orderIDs, p.OrderID)
			}
		}
	}
	return orderIDs, next, nil
}
