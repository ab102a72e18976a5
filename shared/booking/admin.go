package booking

import (
	"context"

	"github.com/shopspring/decimal"
)

// Admin is what an operator may do. Each action goes through the same transactions as
// a request, a message or the sweep.
//
// Died between the database and the gate: the next reconcile brings the gate up to
// date, and an older stock never replaces a newer one there.
type Admin struct {
	Store      Store
	Gate       Gate
	Cancel     Cancel
	Compensate Compensate
	Reconciler Reconcile
}

// PutProduct inserts a product, or changes one but for its stock, and tells the gate.
// It returns the product's id.
func (a Admin) PutProduct(ctx context.Context, d ProductDraft) (int64, error) {
	id, err := a.Store.PutProduct(ctx, d)
	if err != nil {
		return 0, err
	}
	return id, a.publish(ctx, id)
}

// AdjustStock moves total and remaining stock by a delta that is not 0, and tells the
// gate.
func (a Admin) AdjustStock(ctx context.Context, productID, delta int64, reason string) (Stock, error) {
	stock, err := a.Store.AdjustStock(ctx, productID, delta, reason)
	if err != nil {
		return stock, err
	}
	return stock, a.publish(ctx, productID)
}

// publish brings the product's facts to the gate. A cold gate takes none: its warming
// reads them.
func (a Admin) publish(ctx context.Context, productID int64) error {
	facts, err := a.Store.ProductFacts(ctx, productID)
	if err != nil {
		return err
	}
	_, err = a.Gate.PutFacts(ctx, facts)
	return err
}

// GrantPoints moves a user's balance by a signed amount that is not 0, and returns
// the balance.
func (a Admin) GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	return a.Store.GrantPoints(ctx, userID, amount, reason)
}

// CancelBooking ends anybody's booking, after check-in too.
func (a Admin) CancelBooking(ctx context.Context, bookingID int64, reason string) (Result, error) {
	return a.Cancel.Run(ctx, Cancellation{BookingID: bookingID, Reason: reason})
}

// BookingStory is what explain answers: the rows, the gate's view, and what is safe to
// do next.
type BookingStory struct {
	Explanation
	Gate      Occupancy
	Place     *Place // the user's place in the gate, nil when it is empty
	SafeToDo  string
	GateFault error // why the gate could not be asked
}

// Explain tells everything that is known of a booking. ErrBookingNotFound.
func (a Admin) Explain(ctx context.Context, bookingID int64) (BookingStory, error) {
	e, err := a.Store.Explain(ctx, bookingID)
	story := BookingStory{Explanation: e}
	if err != nil {
		return story, err
	}
	story.SafeToDo = nextSafeAction(e.Booking)
	occupied, err := a.Gate.Occupancies(ctx, e.Booking.ProductID)
	if err != nil {
		story.GateFault = err
		return story, nil
	}
	story.Gate = occupied[0]
	standing, err := a.Reconciler.standing(ctx, e.Booking.ProductID)
	if err != nil {
		story.GateFault = err
		return story, nil
	}
	if p, ok := standing[e.Booking.UserID]; ok {
		story.Place = &p
	}
	return story, nil
}

func nextSafeAction(b Booking) string {
	refund, _ := b.Refund()
	charge := b.charge()
	switch {
	case refund == RefundStuck:
		return "The gateway keeps refusing the refund: look at the gateway, then redrive this booking."
	case refund == RefundPending:
		return "Money is on its way back: wait for the next sweep, or redrive this booking."
	case b.Status.Live() && charge != nil && charge.Approval.Open():
		return "The gateway's answer is awaited: wait for the next sweep, or redrive this booking."
	case b.Status == PaymentPending:
		return "Paid and held: the user completes it, or cancel it."
	case b.Status == Init:
		return "Held and not paid: nothing to do, it lapses by itself."
	case b.Status == Confirmed:
		return "Sold: nothing to do; cancel gives money, points and unit back."
	default:
		return "Ended and settled: nothing to do."
	}
}

// Reconcile repairs the gate of one product, or (0) of every product on sale.
func (a Admin) Reconcile(ctx context.Context, productID int64) ([]Reconciliation, error) {
	list := []Reconciliation{}
	if productID != 0 {
		if _, err := a.Store.ProductFacts(ctx, productID); err != nil {
			return list, err
		}
		r, err := a.Reconciler.Run(ctx, productID)
		return append(list, r), err
	}
	for after := int64(0); ; {
		ids, err := a.Store.OnSale(ctx, after, 100)
		if err != nil || len(ids) == 0 {
			return list, err
		}
		for _, id := range ids {
			r, err := a.Reconciler.Run(ctx, id)
			if err != nil {
				return list, err
			}
			list = append(list, r)
		}
		after = ids[len(ids)-1]
	}
}

// Redrive puts back to work what waits for a later try: of one booking, which it also
// settles at once, or (0) of all, which the next sweep takes up. It returns the
// bookings.
func (a Admin) Redrive(ctx context.Context, bookingID int64) ([]int64, error) {
	ids, err := a.Store.Redrive(ctx, bookingID)
	if err != nil || bookingID == 0 {
		return ids, err
	}
	return ids, a.Compensate.Run(ctx, Message{Task: TaskCompensate, BookingID: bookingID})
}
