package booking

import "context"

// Register fixes how a booking will be paid. It is one transaction and calls nothing
// outside; the balance of points that it looks at is advice, complete debits the
// truth.
type Register struct {
	Store Store
}

// Run answers with the booking; Created is false when the same set stood already.
func (s Register) Run(ctx context.Context, r Registration) (Result, error) {
	return s.Store.Register(ctx, r)
}
