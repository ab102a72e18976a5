package booking

import (
	"context"
	"slices"
)

// Reconcile brings one product's gate to what the database says, while the sale goes
// on. Whatever moves a user's place in between deletes his mark, and his correction
// is left out; so a hold is never removed because no booking is seen (its INSERT may
// be under way), and a unit is never given out twice. It works through the places page
// by page, and keeps no more than a page of them.
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
	Damaged   bool    `json:"damaged"`  // it cannot be read; the audit says what to do
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
	facts, err := s.Store.ProductFacts(ctx, productID)
	if err != nil {
		return done, err
	}
	if done.Facts, err = s.Gate.PutFacts(ctx, facts); err != nil {
		return done, err
	}
	nonce := newToken()
	err = s.pages(ctx, productID, func(p placePage) error {
		users := p.differing()
		if len(users) == 0 {
			return nil
		}
		changed, err := s.correct(ctx, productID, nonce, users, p.standing)
		done.Differed = append(done.Differed, users...)
		done.Changed = append(done.Changed, changed...)
		return err
	})
	done.Differed, done.Changed = once(done.Differed), once(done.Changed)
	return done, err
}

// once sorts the users and keeps one of each.
func once(users []int64) []int64 {
	slices.Sort(users)
	return slices.Compact(users)
}

// correct marks the users, reads what the database says of them now, and writes it
// where the mark still stands.
func (s Reconcile) correct(ctx context.Context, productID int64, nonce string, users []int64, standing map[int64]Place) ([]int64, error) {
	if err := s.Gate.MarkUsers(ctx, productID, nonce, users); err != nil {
		return nil, err
	}
	wanted, err := s.Store.PlacesOf(ctx, productID, users)
	if err != nil {
		return nil, err
	}
	return s.Gate.Correct(ctx, productID, nonce, corrections(users, byUser(wanted), standing))
}

// placePageSize is how many places are compared at once.
const placePageSize = 500

// placePage is what the database wants and what stands in the gate, of the same users.
type placePage struct{ wanted, standing map[int64]Place }

// pages walks through the places that the database wants, and then through those that
// the gate has confirmed. A user may come in both.
func (s Reconcile) pages(ctx context.Context, productID int64, look func(placePage) error) error {
	for after := int64(0); ; {
		wanted, err := s.Store.OpenPlaces(ctx, productID, after, placePageSize)
		if err != nil {
			return err
		}
		if len(wanted) == 0 {
			break
		}
		standing, err := s.Gate.PlacesOf(ctx, productID, usersOf(wanted))
		if err != nil {
			return err
		}
		if err := look(placePage{byUser(wanted), byUser(standing)}); err != nil {
			return err
		}
		after = wanted[len(wanted)-1].BookingID
	}
	for cursor := uint64(0); ; {
		standing, next, err := s.Gate.Places(ctx, productID, cursor)
		if err != nil {
			return err
		}
		// A hold that only the gate knows differs from nothing.
		standing = slices.DeleteFunc(standing, func(p Place) bool { return !p.Confirmed })
		if len(standing) > 0 {
			wanted, err := s.Store.PlacesOf(ctx, productID, usersOf(standing))
			if err != nil {
				return err
			}
			if err := look(placePage{byUser(wanted), byUser(standing)}); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// page reads the places of some users, of both sides.
func (s Reconcile) page(ctx context.Context, productID int64, users []int64) (placePage, error) {
	wanted, err := s.Store.PlacesOf(ctx, productID, users)
	if err != nil {
		return placePage{}, err
	}
	standing, err := s.Gate.PlacesOf(ctx, productID, users)
	return placePage{byUser(wanted), byUser(standing)}, err
}

func usersOf(places []Place) []int64 {
	users := make([]int64, len(places))
	for i, p := range places {
		users[i] = p.UserID
	}
	return users
}

func byUser(places []Place) map[int64]Place {
	m := make(map[int64]Place, len(places))
	for _, p := range places {
		m[p.UserID] = p
	}
	return m
}

// differing lists the users whose place the gate lacks or has wrongly confirmed. A
// hold that only the gate knows is none of them.
func (p placePage) differing() []int64 {
	users := []int64{}
	for user, w := range p.wanted {
		if s, ok := p.standing[user]; !ok || w.Confirmed && (!s.Confirmed || s.Token != w.Token) ||
			!w.Confirmed && s.Confirmed {
			users = append(users, user)
		}
	}
	for user, s := range p.standing {
		if _, ok := p.wanted[user]; s.Confirmed && !ok {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// corrections says what each user's place should be, by what the database said after
// the marks were set. A wrongly confirmed place becomes the hold that belongs there in
// the same script: in between, its unit would be anybody's.
func corrections(users []int64, wanted, standing map[int64]Place) []Correction {
	var list []Correction
	for _, user := range users {
		w, inDatabase := wanted[user]
		if s := standing[user]; s.Confirmed && !w.Confirmed {
			list = append(list, Correction{Place: s, Remove: true})
		}
		if inDatabase {
			list = append(list, Correction{Place: w})
		}
	}
	return list
}
