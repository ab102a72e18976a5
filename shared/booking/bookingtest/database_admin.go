package bookingtest

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// PutProduct inserts a product, or changes one but for its stock.
func (d *Database) PutProduct(_ context.Context, draft booking.ProductDraft) (int64, error) {
	defer d.begin()()
	p := &ProductRow{Version: 1, CreatedAt: d.moment}
	if draft.ID == 0 {
		p.ID, p.TotalStock, p.RemainingStock = next(&d.ids.product), *draft.Stock, *draft.Stock
	} else if old := d.product(draft.ID); old != nil {
		*p = *old
	} else {
		return 0, booking.ErrProductNotFound
	}
	price, err := money(draft.Price)
	if err != nil {
		return 0, err
	}
	was := p.facts()
	p.Name, p.Price, p.Status, p.UpdatedAt = draft.Name, price, draft.Status, d.moment
	p.SaleStartAt, p.CheckInAt, p.CheckOutAt = stored(draft.SaleStartAt), stored(draft.CheckInAt), stored(draft.CheckOutAt)
	switch {
	case p.SaleStartAt.After(p.CheckInAt) || !p.CheckInAt.Before(p.CheckOutAt):
		return 0, booking.ErrInvalidRequest
	case !p.Price.IsPositive():
		return 0, booking.ErrInvalidAmount
	case p.RemainingStock < 0:
		return 0, booking.ErrInvalidState
	}
	follow(p)
	if draft.ID == 0 {
		d.products = append(d.products, p)
		d.adjust(p, p.TotalStock, "first stock")
		return p.ID, nil
	}
	if p.facts() != was {
		p.Version++
	}
	*d.product(p.ID) = *p
	return p.ID, nil
}

func (d *Database) adjust(p *ProductRow, delta int64, reason string) {
	d.adjustments = append(d.adjustments, &AdjustmentRow{
		ID: next(&d.ids.adjustment), ProductID: p.ID, Delta: delta, Reason: reason, CreatedAt: d.moment,
	})
}

// AdjustStock moves total and remaining stock together.
func (d *Database) AdjustStock(_ context.Context, productID, delta int64, reason string) (booking.Stock, error) {
	defer d.begin()()
	p := d.product(productID)
	switch {
	case p == nil:
		return booking.Stock{}, booking.ErrProductNotFound
	case p.TotalStock+delta > math.MaxInt32:
		return booking.Stock{}, booking.ErrInvalidRequest
	case p.RemainingStock+delta < 0:
		return booking.Stock{}, booking.ErrInvalidState
	}
	if delta != 0 {
		p.TotalStock += delta
		p.Version++
	}
	d.setStock(p, p.RemainingStock+delta)
	d.adjust(p, delta, reason)
	return booking.Stock{ProductID: p.ID, Total: p.TotalStock, Remaining: p.RemainingStock}, nil
}

// GrantPoints moves a balance by a signed amount.
func (d *Database) GrantPoints(_ context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	defer d.begin()()
	if userID <= 0 {
		return decimal.Zero, booking.ErrInvalidRequest
	}
	balance, err := money(d.held(userID).Add(amount))
	if err != nil {
		return decimal.Zero, err
	}
	if balance.IsNegative() {
		return decimal.Zero, booking.ErrInsufficientPoints
	}
	delta, err := money(amount)
	if err != nil {
		return decimal.Zero, err
	}
	if delta.IsZero() {
		return decimal.Zero, booking.ErrInvalidAmount
	}
	u := d.balance(userID)
	if u == nil {
		u = &BalanceRow{UserID: userID, CreatedAt: d.moment}
		d.balances = append(d.balances, u)
	}
	u.Balance, u.UpdatedAt = balance, d.moment
	d.ledger = append(d.ledger, &LedgerRow{
		ID: next(&d.ids.entry), UserID: userID, Delta: delta, Kind: "GRANT", Reason: reason, CreatedAt: d.moment,
	})
	return balance, nil
}

// Explain reads a booking with every row that speaks of it.
func (d *Database) Explain(_ context.Context, bookingID int64) (booking.Explanation, error) {
	defer d.begin()()
	v, err := d.story(0, bookingID)
	if err != nil {
		return booking.Explanation{}, err
	}
	e := booking.Explanation{Booking: v}
	for _, a := range d.attempts {
		if a.BookingID == bookingID {
			e.Attempts = append(e.Attempts, map[string]any{
				"id": a.ID, "payment_id": a.PaymentID, "booking_id": a.BookingID, "kind": a.Kind, "state": a.State,
				"order_id": a.OrderID, "idempotency_key": a.IdempotencyKey, "payment_key": a.PaymentKey, "amount": json.Number(a.Amount.String()),
				"lease_until": a.LeaseUntil, "sendable_until": a.SendableUntil, "tries": a.Tries, "next_try_at": a.NextTryAt,
				"reference": a.Reference, "created_at": a.CreatedAt, "updated_at": a.UpdatedAt,
			})
		}
	}
	for _, m := range d.outbox {
		if m.BookingID == bookingID {
			e.Outbox = append(e.Outbox, map[string]any{
				"id": m.ID, "booking_id": m.BookingID, "task": m.Task, "created_at": m.CreatedAt, "sent_at": m.SentAt,
			})
		}
	}
	return e, nil
}

// Redrive makes what waits for a later try due now.
func (d *Database) Redrive(_ context.Context, bookingID int64) ([]int64, error) {
	defer d.begin()()
	ids := []int64{}
	for _, a := range d.attempts {
		// Of all, only what waits for later is put back: the rest is due as it is.
		asked := a.BookingID == bookingID || bookingID == 0 && a.NextTryAt.After(d.moment)
		if asked && (a.State == AttemptUnknown || a.State == AttemptPending) && !a.LeaseUntil.After(d.moment) {
			a.NextTryAt = d.moment
			ids = append(ids, a.BookingID)
		}
	}
	for _, m := range d.outbox {
		if m.SentAt.IsZero() && (bookingID == 0 || m.BookingID == bookingID) {
			ids = append(ids, m.BookingID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
