package booking

import (
	"context"
	"fmt"
)

// Audit holds every invariant against the rows, and the gate against them. Where a
// live attempt, lease, unsent message or unlapsed hold says that somebody will still
// act, nothing is reported. productID 0 means every product on sale.
func (a Admin) Audit(ctx context.Context, productID int64) ([]Breach, error) {
	breaches, err := a.Store.Breaches(ctx, productID)
	if err != nil {
		return nil, err
	}
	if productID != 0 {
		found, err := a.auditGate(ctx, productID)
		return append(breaches, found...), err
	}
	for after := int64(0); ; {
		ids, err := a.Store.OnSale(ctx, after, 100)
		if err != nil || len(ids) == 0 {
			return breaches, err
		}
		for _, id := range ids {
			found, err := a.auditGate(ctx, id)
			if err != nil {
				return breaches, err
			}
			breaches = append(breaches, found...)
		}
		after = ids[len(ids)-1]
	}
}

// auditGate compares one product's warm gate with the database. What differs is looked
// at twice: only what the second look finds unchanged is a breach, since a request may
// have been under way in the first.
func (a Admin) auditGate(ctx context.Context, productID int64) ([]Breach, error) {
	first, err := a.compareGate(ctx, productID)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := a.compareGate(ctx, productID)
	if err != nil {
		return nil, err
	}
	var breaches []Breach
	for key, b := range second {
		if _, both := first[key]; both {
			breaches = append(breaches, b)
		}
	}
	return breaches, nil
}

func (a Admin) compareGate(ctx context.Context, productID int64) (map[string]Breach, error) {
	occupied, err := a.Gate.Occupancies(ctx, productID)
	if err != nil || occupied[0].Cold {
		return nil, err
	}
	standing, err := a.Reconciler.standing(ctx, productID)
	if err != nil {
		return nil, err
	}
	facts, wanted, err := a.Store.GatePlaces(ctx, productID, nil)
	if err != nil {
		return nil, err
	}
	found := map[string]Breach{}
	note := func(invariant, detail string, bookings ...int64) {
		found[invariant+detail] = Breach{Invariant: invariant, Detail: detail, BookingIDs: bookings}
	}
	gate := occupied[0]
	if gate.Facts.Stock != facts.Stock {
		note("G1", fmt.Sprintf("product %d: the gate has a stock of %d, the database %d; run reconcile", productID, gate.Facts.Stock, facts.Stock))
	}
	if gate.Confirmed > facts.Stock {
		note("G2", fmt.Sprintf("product %d: the gate has confirmed %d users of %d units; run reconcile", productID, gate.Confirmed, facts.Stock))
	}
	byUser := make(map[int64]Place, len(wanted))
	for _, w := range wanted {
		byUser[w.UserID] = w
		s, ok := standing[w.UserID]
		switch {
		case w.Confirmed && (!ok || !s.Confirmed):
			note("G1", fmt.Sprintf("product %d: user %d is confirmed in the database and not in the gate; run reconcile", productID, w.UserID), w.BookingID)
		case !w.Confirmed && !ok:
			note("G1", fmt.Sprintf("product %d: user %d has an open booking and no hold in the gate; run reconcile", productID, w.UserID), w.BookingID)
		}
	}
	for user, s := range standing {
		if w, ok := byUser[user]; s.Confirmed && (!ok || !w.Confirmed) {
			note("G1", fmt.Sprintf("product %d: user %d is confirmed in the gate and not in the database; run reconcile", productID, user), s.BookingID)
		}
	}
	return found, nil
}
