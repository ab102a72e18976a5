package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A finding is a difference between a gate and the database, and the user whose place
// it is; 0: nobody's.
type finding struct {
	user int64
	Breach
}

// same says that a later look found this again. Numbers may have moved on.
func (f finding) same(g finding) bool { return f.user == g.user && f.Invariant == g.Invariant }

// auditGates looks at every warm gate, and looks once more at what differs: only what
// the second look finds again is a breach.
func (a Admin) auditGates(ctx context.Context, productID int64) ([]Breach, error) {
	first := map[int64][]finding{}
	var order []int64
	var breaches []Breach
	err := a.eachGate(ctx, productID, func(id int64) error {
		found, err := a.lookAtGate(ctx, id, a.Reconciler.pages)
		if errors.Is(err, ErrGateDamaged) {
			breaches = append(breaches, Breach{Invariant: "G1", Detail: fmt.Sprintf(
				"product %d: the gate cannot be read (%v); find who else writes there, delete the product's keys in Redis, and the next buyer warms it", id, err)})
			return nil
		}
		if len(found) > 0 {
			first[id], order = found, append(order, id)
		}
		return err
	})
	if err != nil || len(order) == 0 {
		return breaches, err
	}
	if err := settle(ctx); err != nil {
		return breaches, err
	}
	for _, id := range order {
		again, err := a.lookAtGate(ctx, id, a.pageOf(first[id]))
		if err != nil {
			return breaches, err
		}
		for _, f := range again {
			if slices.ContainsFunc(first[id], f.same) {
				breaches = append(breaches, f.Breach)
			}
		}
	}
	return breaches, nil
}

// pager walks through places and hands them over page by page.
type pager func(ctx context.Context, productID int64, look func(placePage) error) error

// pageOf is the places of those whom the first look found.
func (a Admin) pageOf(found []finding) pager {
	var users []int64
	for _, f := range found {
		if f.user != 0 {
			users = append(users, f.user)
		}
	}
	return func(ctx context.Context, productID int64, look func(placePage) error) error {
		if len(users) == 0 {
			return nil
		}
		p, err := a.Reconciler.page(ctx, productID, users)
		if err != nil {
			return err
		}
		return look(p)
	}
}

var errEnough = errors.New("enough has been found")

// lookAtGate compares one product's gate with the database. A cold gate knows nothing,
// and nothing wrong.
func (a Admin) lookAtGate(ctx context.Context, productID int64, pages pager) ([]finding, error) {
	occupied, err := a.Gate.Occupancies(ctx, productID)
	if err != nil || occupied[0].Cold {
		return nil, err
	}
	facts, err := a.Store.ProductFacts(ctx, productID)
	if err != nil {
		return nil, err
	}
	found := compareFacts(occupied[0], facts)
	strays, err := a.strays(ctx, productID)
	if err != nil {
		return nil, err
	}
	found = append(found, strays...)
	err = pages(ctx, productID, func(p placePage) error {
		for _, user := range p.differing() {
			if f, breach := differs(productID, user, p, occupied[0].Available); breach {
				found = append(found, f)
			}
		}
		if len(found) >= auditLimit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// compareFacts holds the gate's numbers against the database's.
func compareFacts(gate Occupancy, facts Facts) []finding {
	var found []finding
	note := func(invariant, format string, args ...any) {
		found = append(found, finding{Breach: Breach{Invariant: invariant, Detail: fmt.Sprintf(format, args...)}})
	}
	id := facts.ProductID
	switch {
	case gate.Facts.Version < facts.Version:
		note("G1", "product %d: the gate has version %d of its facts (a stock of %d), the database %d (%d); run reconcile",
			id, gate.Facts.Version, gate.Facts.Stock, facts.Version, facts.Stock)
	case gate.Facts.Version > facts.Version, gate.Facts.Stock != facts.Stock, gate.Facts.Active != facts.Active:
		note("G1", "product %d: the gate has version %d of its facts (a stock of %d), the database only %d (%d); delete the product's keys in Redis, and the next buyer warms it",
			id, gate.Facts.Version, gate.Facts.Stock, facts.Version, facts.Stock)
	}
	if gate.Confirmed > facts.Stock {
		note("G2", "product %d: the gate has confirmed %d users of %d units; run reconcile", id, gate.Confirmed, facts.Stock)
	}
	return found
}

// strays are holds without a booking that last for longer than any step makes one last.
func (a Admin) strays(ctx context.Context, productID int64) ([]finding, error) {
	if a.StrayLimit == 0 {
		return nil, nil
	}
	long, err := a.Gate.LongHolds(ctx, productID, a.StrayLimit)
	if err != nil || len(long) == 0 {
		return nil, err
	}
	wanted, err := a.Store.PlacesOf(ctx, productID, usersOf(long))
	if err != nil {
		return nil, err
	}
	booked := byUser(wanted)
	var found []finding
	for _, h := range long {
		if _, ok := booked[h.UserID]; !ok {
			found = append(found, finding{h.UserID, Breach{"G2", fmt.Sprintf(
				"product %d: user %d has no open booking, and a hold until %s, which is later than any step makes one last; find who wrote it, then remove the user from the product's holds in Redis",
				productID, h.UserID, h.Deadline.Format("2006-01-02T15:04:05Z")), nil}})
		}
	}
	return found, nil
}

// differs names what is wrong with one user's place. An open booking whose unit went to
// somebody else is none of it: complete refuses it, and gives the money back.
func differs(productID, user int64, p placePage, available int64) (finding, bool) {
	w, booked := p.wanted[user]
	s, placed := p.standing[user]
	f := finding{user, Breach{Invariant: "G1"}}
	switch {
	case w.Confirmed && s.Confirmed:
		f.Detail = fmt.Sprintf("product %d: user %d is confirmed in the gate under another hold than in the database; run reconcile", productID, user)
	case w.Confirmed:
		f.Detail = fmt.Sprintf("product %d: user %d is confirmed in the database and not in the gate; run reconcile", productID, user)
	case s.Confirmed:
		f.Detail = fmt.Sprintf("product %d: user %d is confirmed in the gate and not in the database; run reconcile", productID, user)
	case booked && !placed && available > 0:
		f.Detail = fmt.Sprintf("product %d: user %d has an open booking and no hold in the gate; run reconcile", productID, user)
	default:
		return f, false
	}
	for _, id := range []int64{w.BookingID, s.BookingID} {
		if id != 0 && (len(f.BookingIDs) == 0 || f.BookingIDs[0] != id) {
			f.BookingIDs = append(f.BookingIDs, id)
		}
	}
	return f, true
}
