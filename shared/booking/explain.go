package booking

import (
	"context"
	"time"
)

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
	story.GateFault = a.askGate(ctx, &story)
	story.SafeToDo = story.nextSafeAction()
	return story, nil
}

func (a Admin) askGate(ctx context.Context, story *BookingStory) error {
	occupied, err := a.Gate.Occupancies(ctx, story.Booking.ProductID)
	if err != nil {
		return err
	}
	places, err := a.Gate.PlacesOf(ctx, story.Booking.ProductID, []int64{story.Booking.UserID})
	if err != nil {
		return err
	}
	story.Gate = occupied[0]
	if len(places) > 0 {
		story.Place = &places[0]
	}
	return nil
}

// stuckAfter is how long past its hold a live booking is nothing that the sweep will
// still come to.
const stuckAfter = 120 * time.Second

// nextSafeAction comes to money first, then to the gate, then to what the buyer may do.
func (s BookingStory) nextSafeAction() string {
	for _, advise := range []func() string{s.aboutMoney, s.aboutDrift, s.aboutStatus} {
		if line := advise(); line != "" {
			return line
		}
	}
	return "Ended and settled: nothing to do."
}

func (s BookingStory) aboutMoney() string {
	b := s.Booking
	refund, _ := b.Refund()
	charge := b.charge()
	switch {
	case refund == RefundStuck:
		return "The gateway keeps refusing the refund: look at the gateway, then redrive this booking."
	case refund == RefundPending:
		return "Money is on its way back: wait for the next sweep, or redrive this booking."
	case b.Status.Live() && charge != nil && charge.Approval.Open():
		return "The gateway's answer is awaited: wait for the next sweep, or redrive this booking."
	}
	for _, p := range b.Payments {
		if b.Status.Dead() && p.Status == PaymentSuccess {
			return "Ended, and a payment was neither returned nor told to be: audit its product, and give the money back by hand."
		}
	}
	return ""
}

// aboutDrift is about a gate that says something else than the rows. A cold one says
// nothing.
func (s BookingStory) aboutDrift() string {
	b, p := s.Booking, s.Place
	mine := p != nil && p.Token == b.HoldToken
	switch {
	case s.GateFault != nil || s.Gate.Cold:
		return ""
	case b.Status == Confirmed && (!mine || !p.Confirmed):
		return "Sold, and the gate does not have it as sold: reconcile its product."
	case b.Status != Confirmed && mine && p.Confirmed:
		return "Not sold, and the gate has it as sold: reconcile its product."
	case b.Status.Dead() && mine:
		return "Ended, and the gate still holds its unit: redrive this booking, or wait until the hold lapses."
	case b.Remain() == 0 || mine:
		return ""
	case p != nil:
		return "Another hold of its user stands in the gate: wait until that one lapses, then reconcile its product."
	case s.Gate.Available > 0:
		return "Held by the rows, and not in the gate: reconcile its product."
	default:
		return "Held by the rows, and its unit went to somebody else: nothing to do, complete refuses it and gives the money back."
	}
}

func (s BookingStory) aboutStatus() string {
	b := s.Booking
	switch {
	case b.Status.Live() && b.ReadAt.Sub(b.HoldExpiresAt) > stuckAfter:
		return "Its hold lapsed long ago: see why the sweep does not run, or cancel it."
	case b.Status.Live() && b.Remain() == 0:
		return "Its hold has lapsed: wait for the next sweep, which ends it."
	case b.Status == PaymentPending:
		return "Paid and held: the user completes it, or cancel it."
	case b.Status == Init:
		return "Held and not paid: nothing to do, it lapses by itself."
	case b.Status == Confirmed:
		return "Sold: nothing to do; cancel gives money, points and unit back."
	}
	return ""
}
