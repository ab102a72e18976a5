package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	Ledger     Ledger        // nil: audit says nothing of the gateway
	StrayLimit time.Duration // no step makes a hold without a booking last for longer; 0: not audited
}

// StrayLimit is how long a hold may last that no booking speaks for: what reserve and
// approve may give it, the sweep's grace, and a minute.
func StrayLimit(holdTTL, window, grace time.Duration) time.Duration {
	return holdTTL + window + grace + time.Minute
}

// ErrGateBehind says that a change is committed and that the gate does not know of it:
// the next sweep, or reconcile, tells it, while the product is on sale. What comes with it
// is valid.
var ErrGateBehind = errors.New("the gate does not know of it yet")

// PutProduct inserts a product, or changes one but for its stock, and tells the gate.
// It returns the product's id. ErrProductNotFound, ErrGateBehind.
func (a Admin) PutProduct(ctx context.Context, d ProductDraft) (int64, error) {
	id, err := a.Store.PutProduct(ctx, d)
	if err != nil && d.ID == 0 {
		return 0, unrepeatable(err)
	}
	if err != nil {
		return 0, err
	}
	return id, a.publish(ctx, id)
}

// AdjustStock moves total and remaining stock by a delta that is not 0, and tells the
// gate. ErrProductNotFound, ErrInvalidState when less than what is confirmed would
// remain, ErrGateBehind.
func (a Admin) AdjustStock(ctx context.Context, productID, delta int64, reason string) (Stock, error) {
	stock, err := a.Store.AdjustStock(ctx, productID, delta, reason)
	if err != nil {
		return stock, unrepeatable(err)
	}
	return stock, a.publish(ctx, productID)
}

// publish brings the product's facts to the gate, or says that it is behind. A cold gate
// takes none: its warming reads them.
func (a Admin) publish(ctx context.Context, productID int64) error {
	facts, err := a.Store.ProductFacts(ctx, productID)
	if err == nil {
		_, err = a.Gate.PutFacts(ctx, facts)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGateBehind, err)
	}
	return nil
}

// unrepeatable is the error of an action that bears no key, and that a repeat would carry
// out once more.
func unrepeatable(err error) error {
	if told, ok := errors.AsType[*Error](err); ok && told.Is(ErrCommitResultUnknown) {
		return told.Saying("It is not known whether this happened. See whether it did before you repeat it.")
	}
	return err
}

// GrantPoints moves a user's balance by a signed amount that is not 0, and returns
// the balance.
func (a Admin) GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	balance, err := a.Store.GrantPoints(ctx, userID, amount, reason)
	return balance, unrepeatable(err)
}

// CancelBooking ends anybody's booking, after check-in too.
func (a Admin) CancelBooking(ctx context.Context, bookingID int64, reason string) (Result, error) {
	return a.Cancel.Run(ctx, Cancellation{BookingID: bookingID, Reason: reason})
}

// Reconcile repairs the gate of one product, or (0) of every product on sale.
func (a Admin) Reconcile(ctx context.Context, productID int64) ([]Reconciliation, error) {
	list := []Reconciliation{}
	if productID != 0 {
		if _, err := a.Store.ProductFacts(ctx, productID); err != nil {
			return list, err
		}
	}
	err := a.eachGate(ctx, productID, func(id int64) error {
		r, err := a.Reconciler.Run(ctx, id)
		if r.Damaged = errors.Is(err, ErrGateDamaged); r.Damaged {
			err = nil // the rest is put right all the same
		}
		list = append(list, r)
		return err
	})
	return list, err
}

// Redrive puts back to work what waits for a later try: of one booking, which it also
// settles at once, or (0) of all, which the next sweep takes up. It returns the
// bookings.
func (a Admin) Redrive(ctx context.Context, bookingID int64) ([]int64, error) {
	ids, err := a.Store.Redrive(ctx, bookingID)
	if err != nil || bookingID == 0 {
		return ids, err
	}
	err = a.Compensate.Run(ctx, Message{Task: TaskCompensate, BookingID: bookingID})
	if errors.Is(err, ErrLeftToSweep) {
		err = nil // it has been put back to work, and the booking tells how it goes
	}
	return ids, err
}
