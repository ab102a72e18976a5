package booking

import (
	"context"
	"time"
)

// secondLook is how long what differs is left alone before it is looked at again: a
// request may have been between its commit and its call of the gate.
const secondLook = 500 * time.Millisecond

// auditLimit bounds how many breaches of one product's gate, or of the ledger, are
// reported.
const auditLimit = 100

// Audit holds every invariant against the rows, the gates of the products on sale (or
// of the one product) against them, and the gateway's ledger where there is one. Where a
// live attempt, lease, unsent message or unlapsed hold says that somebody will still
// act, nothing is reported. productID 0 means everything.
//
// ErrProductNotFound. With ErrNoLedger the breaches stand, and the gateway has not been
// looked at.
func (a Admin) Audit(ctx context.Context, productID int64) ([]Breach, error) {
	if productID != 0 {
		if _, err := a.Store.ProductFacts(ctx, productID); err != nil {
			return nil, err
		}
	}
	breaches, err := a.Store.Breaches(ctx, productID)
	if err != nil {
		return breaches, err
	}
	found, err := a.auditGates(ctx, productID)
	breaches = append(breaches, found...)
	if err != nil || a.Ledger == nil {
		return breaches, err
	}
	found, err = a.auditLedger(ctx, productID)
	return append(breaches, found...), err
}

// eachGate runs for one product, or (0) for every product on sale.
func (a Admin) eachGate(ctx context.Context, productID int64, run func(productID int64) error) error {
	if productID != 0 {
		return run(productID)
	}
	for after := int64(0); ; {
		ids, err := a.Store.OnSale(ctx, after, 100)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := run(id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
}

// settle lets what is under way come to its end.
func settle(ctx context.Context) error {
	timer := time.NewTimer(secondLook)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ErrUnavailable.Because(ctx.Err())
	case <-timer.C:
		return nil
	}
}
