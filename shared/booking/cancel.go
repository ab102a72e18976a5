package booking

import "context"

// Cancel ends a booking because its user asks, from INIT, PAYMENT_PENDING or
// CONFIRMED. Points and stock go back in the fencing transaction, the unit right
// after it, gateway money behind it. A charge in flight is left alone: its result
// finds the booking dead and returns the money.
type Cancel struct {
	Store Store
	Gate  Gate
	Queue Queue
}

// Run answers with the CANCELLED booking, also when it was so already. Errors: those
// of the Store's Cancel.
func (s Cancel) Run(ctx context.Context, c Cancellation) (Result, error) {
	result, err := s.Store.Cancel(ctx, c)
	if err != nil {
		return result, err
	}
	result.Deferred = finish(ctx, s.Gate, s.Queue, s.Store, result)
	return result, nil
}
