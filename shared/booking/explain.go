package booking

import "context"

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
