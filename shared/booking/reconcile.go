package booking

import (
	"context"
	"slices"
)

// Reconcile brings one product's gate to what the database says, while the sale goes
// on. Whatever moves a user's place in between deletes his mark, and his correction
// is left out; so a hold is never removed because no booking is seen (its INSERT may
// be under way), and a unit is never given out twice.
//
// Died anywhere: marks lapse by themselves, and the next run begins again.
type Reconcile struct {
	Store GateSource
	Gate  Gate
}

// Reconciliation says what differed in one product's gate and what was changed.
type Reconciliation struct {
	ProductID int64   `json:"productId"`
	Cold      bool    `json:"cold"`     // a cold gate is warmed by its first buyer, not here
	Facts     bool    `json:"facts"`    // stock, dates or status were brought up to date
	Differed  []int64 `json:"differed"` // users whose place differed when looked at first
	Changed   []int64 `json:"changed"`  // users whose place was corrected
}

func (r Reconciliation) changed() bool { return r.Facts || len(r.Changed) > 0 }

// Run compares, marks the users that differ, reads those again and corrects the ones
// whose mark still stands.
func (s Reconcile) Run(ctx context.Context, productID int64) (Reconciliation, error) {
	done := Reconciliation{ProductID: productID, Differed: []int64{}, Changed: []int64{}}
	occupied, err := s.Gate.Occupancies(ctx, productID)
	if err != nil {
		return done, err
	}
	if done.Cold = occupied[0].Cold; done.Cold {
		return done, nil
	}
	facts, wanted, err := s.Store.GatePlaces(ctx, productID, nil)
	if err != nil {
		return done, err
	}
	if done.Facts, err = s.Gate.PutFacts(ctx, facts); err != nil {
		return done, err
	}
	standing, err := s.standing(ctx, productID)
	if err != nil {
		return done, err
	}
	done.Differed = differing(wanted, standing)
	if len(done.Differed) == 0 {
		return done, nil
	}
	nonce := newToken()
	if err := s.Gate.MarkUsers(ctx, productID, nonce, done.Differed); err != nil {
		return done, err
	}
	_, wanted, err = s.Store.GatePlaces(ctx, productID, done.Differed)
	if err != nil {
		return done, err
	}
	corrections := correct(done.Differed, wanted, standing)
	changed, err := s.Gate.Correct(ctx, productID, nonce, corrections)
	if err == nil && changed != nil {
		done.Changed = changed
	}
	return done, err
}

// standing reads all places of the gate, by user.
func (s Reconcile) standing(ctx context.Context, productID int64) (map[int64]Place, error) {
	byUser := map[int64]Place{}
	for cursor := uint64(0); ; {
		places, next, err := s.Gate.Places(ctx, productID, cursor)
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			byUser[p.UserID] = p
		}
		if next == 0 {
			return byUser, nil
		}
		cursor = next
	}
}

// differing lists the users whose place the gate lacks or has wrongly confirmed. A
// hold that only the gate knows is none of them.
func differing(wanted []Place, standing map[int64]Place) []int64 {
	users := []int64{}
	inDatabase := make(map[int64]bool, len(wanted))
	for _, w := range wanted {
		inDatabase[w.UserID] = true
		if s, ok := standing[w.UserID]; !ok || w.Confirmed && (!s.Confirmed || s.Token != w.Token) ||
			!w.Confirmed && s.Confirmed {
			users = append(users, w.UserID)
		}
	}
	for user, s := range standing {
		if s.Confirmed && !inDatabase[user] {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// correct says what each user's place should be, by what the database said after the
// marks were set. A wrongly confirmed place is emptied first; if a hold belongs there,
// the next run writes it.
func correct(users []int64, wanted []Place, standing map[int64]Place) []Correction {
	byUser := make(map[int64]Place, len(wanted))
	for _, w := range wanted {
		byUser[w.UserID] = w
	}
	var corrections []Correction
	for _, user := range users {
		w, inDatabase := byUser[user]
		s := standing[user]
		switch {
		case s.Confirmed && (!inDatabase || !w.Confirmed):
			corrections = append(corrections, Correction{Place: s, Remove: true})
		case inDatabase:
			corrections = append(corrections, Correction{Place: w})
		}
	}
	return corrections
}
