package booking

import "context"

// Resolve finds out what became of a charge whose answer is not known. It only looks
// up and never charges. Whether the gateway's session is over is judged by the claim,
// before the look-up: afterwards a charge could have slipped in between.
// ErrNothingDue: no attempt of the booking waits, or it is not its turn. ErrLeftToSweep:
// it is still not known.
func (s Compensate) Resolve(ctx context.Context, bookingID int64) error {
	in, err := s.Store.ClaimApproval(ctx, bookingID, newToken(), lease(s.GatewayTimeout), s.GatewaySession)
	if err != nil {
		return err
	}
	answer := s.Gateway.Lookup(ctx, in.Charge)
	found, decided := seen(answer)
	if !decided && answer.Verdict == VerdictNotFound && in.Over {
		found = Finding{Code: FoundClosed}
	}
	result, err := s.Store.EndApproval(ctx, in, found)
	if result.Booking.ID == 0 {
		return err
	}
	// The buyer's error (a decline, a dead booking) is no failure of the resolution.
	if result.Booking.Status.Dead() {
		if err := s.Gate.Release(ctx, result.Booking.Hold()); err != nil {
			return err
		}
	}
	if found.Code == FoundUnknown {
		return leftToSweep("charge", in.Charge, answer)
	}
	return nil
}
