package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Compensate does what a message asks to be looked at: it finds out what became of a
// charge, gives money back and frees the unit of a dead booking. The rows command all
// three; a message that finds none of them is done. It never ends a booking itself.
//
// Died anywhere: the message comes again, or the sweep does the same from the rows.
type Compensate struct {
	Store          Store
	Gate           Gate
	Gateway        Gateway
	GatewayTimeout time.Duration
	GatewaySession time.Duration
}

// Run does everything that is owed to the message's booking by now. What is not due
// yet is left to the sweep; so is what the gateway did not answer, with ErrLeftToSweep.
// Any other error means that the message should come again.
func (s Compensate) Run(ctx context.Context, m Message) error {
	freed := s.free(ctx, m.BookingID)
	resolved := s.Resolve(ctx, m.BookingID)
	if resolved == nil || errors.Is(resolved, ErrNothingDue) {
		resolved = s.refundAll(ctx, m.BookingID)
	}
	if freed != nil && errors.Is(resolved, ErrLeftToSweep) {
		return freed
	}
	return errors.Join(freed, resolved)
}

// leftToSweep is a gateway's answer that settles nothing, for the log.
func leftToSweep(what string, c Charge, a Answer) error {
	if a.Cause == nil {
		return fmt.Errorf("%s of order %s: %s: %w", what, c.OrderID, a.Verdict, ErrLeftToSweep)
	}
	return fmt.Errorf("%s of order %s: %s: %w: %w", what, c.OrderID, a.Verdict, ErrLeftToSweep, a.Cause)
}

func (s Compensate) free(ctx context.Context, bookingID int64) error {
	b, err := s.Store.Dead(ctx, bookingID)
	switch {
	case errors.Is(err, ErrNothingDue):
		return nil
	case err != nil:
		return err
	}
	return s.Gate.Release(ctx, b.Hold())
}

// refundAll returns what the due cancel rows of the booking command, one after the
// other, until the gateway leaves one of them unanswered.
func (s Compensate) refundAll(ctx context.Context, bookingID int64) error {
	for {
		switch err := s.Refund(ctx, bookingID); {
		case errors.Is(err, ErrNothingDue):
			return nil
		case err != nil:
			return err
		}
	}
}

// timeForOne says that the gateway can be called once more before the context ends.
func (s Compensate) timeForOne(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > callTime(s.GatewayTimeout)
}

// Refund claims one due cancel row, calls the gateway under the row's own key, and
// records what it answered. Where that has failed for long, it looks up whether the money
// is back all the same: a key may be answered for ever as it was first, and somebody has
// given it back by hand. ErrNothingDue: there was none. ErrLeftToSweep: the money is not
// back yet; with ErrRefundStuck, for long.
func (s Compensate) Refund(ctx context.Context, bookingID int64) error {
	in, err := s.Store.ClaimRefund(ctx, bookingID, newToken(), lease(s.GatewayTimeout))
	if err != nil {
		return err
	}
	answer := s.Gateway.Cancel(ctx, in.Charge, "booking ended")
	back := answer.Verdict == VerdictReturned
	if in.Stuck && !back && s.timeForOne(ctx) {
		seen := s.Gateway.Lookup(ctx, in.Charge)
		if back = seen.Verdict == VerdictReturned; back {
			answer = seen
		}
	}
	if err := s.Store.EndRefund(ctx, in, back, answer.Reference); err != nil || back {
		return err
	}
	err = leftToSweep("refund", in.Charge, answer)
	if in.Stuck {
		err = fmt.Errorf("%w: %w", ErrRefundStuck, err)
	}
	return err
}
