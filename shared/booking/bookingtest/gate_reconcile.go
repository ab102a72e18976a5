package bookingtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"stayhold/shared/booking"
)

// placesPage is small, so that a reader of few places turns pages too.
const placesPage = 2

// Places pages through the live places by user id. The last place of a page is the
// first of the next one again, as the contract allows.
func (g *Gate) Places(_ context.Context, productID int64, cursor uint64) (places []booking.Place, next uint64, err error) {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	places = p.live(now, func(user int64) bool { return uint64(user) >= cursor })
	if len(places) > placesPage {
		places = places[:placesPage]
		next = uint64(places[placesPage-1].UserID)
	}
	return places, next, nil
}

// PlacesOf reads the live places of some users.
func (g *Gate) PlacesOf(_ context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	return p.live(now, func(user int64) bool { return slices.Contains(userIDs, user) }), nil
}

// maxLongHolds bounds one answer of LongHolds.
const maxLongHolds = 100

// LongHolds lists the holds that last longer than the time from now, the longest first.
func (g *Gate) LongHolds(_ context.Context, productID int64, longer time.Duration) ([]booking.Place, error) {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	holds := p.live(now+longer.Milliseconds(), func(int64) bool { return true })
	holds = slices.DeleteFunc(holds, func(h booking.Place) bool { return h.Confirmed })
	slices.SortStableFunc(holds, func(a, b booking.Place) int { return b.Deadline.Compare(a.Deadline) })
	return holds[:min(maxLongHolds, len(holds))], nil
}

// live lists the places that outlast the moment, by user.
func (p *product) live(now int64, wanted func(user int64) bool) (places []booking.Place) {
	for user, at := range p.places {
		if at.expiry > now && wanted(user) {
			places = append(places, booking.Place{UserID: user, Token: at.token, BookingID: at.booking,
				Deadline: moment(at.expiry), Confirmed: at.expiry == forever})
		}
	}
	slices.SortFunc(places, func(a, b booking.Place) int { return cmp.Compare(a.UserID, b.UserID) })
	return places
}

// MarkUsers leaves a reconcile mark for each user; all marks of the product stand for a
// minute from now.
func (g *Gate) MarkUsers(_ context.Context, productID int64, nonce string, userIDs []int64) error {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	for _, user := range userIDs {
		p.marks[user], p.marksEnd = nonce, now+markTTL.Milliseconds()
	}
	return nil
}

// Correct applies, in order, each correction whose user's mark still bears the nonce,
// and returns the users whose place changed, each once.
func (g *Gate) Correct(_ context.Context, productID int64, nonce string, corrections []booking.Correction) (changed []int64, err error) {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	for _, c := range corrections {
		if !p.known || p.marks[c.UserID] != nonce || !p.correct(c, now) {
			continue
		}
		if !slices.Contains(changed, c.UserID) {
			changed = append(changed, c.UserID)
		}
	}
	return changed, nil
}

func (p *product) correct(c booking.Correction, now int64) bool {
	at := p.places[c.UserID]
	settled := at.expiry == forever && at.token == c.Token
	switch {
	case c.Remove:
		if settled {
			delete(p.places, c.UserID)
		}
		return settled
	case c.Confirmed:
		if !settled {
			p.places[c.UserID] = place{c.Token, forever, c.BookingID}
		}
		return !settled
	case c.Deadline.IsZero():
		return false
	}
	until := millis(c.Deadline)
	if at.expiry > now || until <= now || p.taken(now) >= p.facts.Stock {
		return false
	}
	p.places[c.UserID] = place{token: c.Token, expiry: until}
	return true
}
