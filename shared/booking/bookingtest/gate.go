package bookingtest

import (
	"context"
	"errors"
	"maps"
	"math"
	"sync"
	"time"

	"stayhold/shared/booking"
)

const (
	warmTTL = 3 * time.Second
	markTTL = time.Minute

	// forever is the expiry of a confirmed place.
	forever = math.MaxInt64
)

// Gate is booking.Gate in memory: the scripts of package lua and the adapter of package
// hold as one. Each call is atomic, contexts are not looked at, and no error is ever
// given but for facts that the adapter refuses too. A nonce is never empty.
//
// A unit counts as taken from the places alone, without the moment until which the
// scripts remember a product as full: where the two differ, the scripts are wrong.
type Gate struct {
	now      func() time.Time
	mu       sync.Mutex
	products map[int64]*product
}

var _ booking.Gate = (*Gate)(nil)

// product is all that the gate knows of one. Moments are milliseconds since 1970.
type product struct {
	known     bool // false: cold
	facts     booking.Facts
	places    map[int64]place
	marks     map[int64]string // user -> reconcile nonce
	marksEnd  int64            // all marks of a product end together
	warming   string           // nonce of the caller that is warming; empty: nobody is
	warmUntil int64
}

// place is what a user has, or had until it lapsed.
type place struct {
	token   string
	expiry  int64
	booking int64 // of a confirmed place
}

// Saved is a gate's whole state at one moment.
type Saved struct{ products map[int64]*product }

// NewGate returns a gate that knows nothing. The function is its clock, as Redis TIME
// is the real one's; it is called with the gate locked.
func NewGate(now func() time.Time) *Gate {
	return &Gate{now: now, products: map[int64]*product{}}
}

// Flush forgets everything: every product is cold, and no mark stands.
func (g *Gate) Flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.products = map[int64]*product{}
}

// Save copies the state.
func (g *Gate) Save() Saved {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Saved{clone(g.products)}
}

// Restore brings a state back, as a failover does that loses the last writes. What has
// lapsed since then is lapsed. One state may be brought back many times.
func (g *Gate) Restore(s Saved) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.products = clone(s.products)
}

func clone(products map[int64]*product) map[int64]*product {
	copied := make(map[int64]*product, len(products))
	for id, p := range products {
		c := *p
		c.places, c.marks = maps.Clone(p.places), maps.Clone(p.marks)
		copied[id] = &c
	}
	return copied
}

// lock gives a product as it is now, and the moment. The caller unlocks.
func (g *Gate) lock(productID int64) (*product, int64) {
	g.mu.Lock()
	return g.open(productID)
}

func (g *Gate) open(productID int64) (*product, int64) {
	now := g.now().UnixMilli()
	p := g.products[productID]
	if p == nil {
		p = &product{places: map[int64]place{}, marks: map[int64]string{}}
		g.products[productID] = p
	}
	// Redis keeps a key to the end of the millisecond that it is given.
	if now > p.warmUntil {
		p.warming = ""
	}
	if now > p.marksEnd {
		clear(p.marks)
	}
	return p, now
}

// taken counts the places that hold a unit.
func (p *product) taken(now int64) int64 {
	n := int64(0)
	for _, at := range p.places {
		if at.expiry > now {
			n++
		}
	}
	return n
}

// Place admits the user and holds one unit for ttl (whole milliseconds), or says why not.
func (g *Gate) Place(_ context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	p, now := g.lock(h.ProductID)
	defer g.mu.Unlock()
	delete(p.marks, h.UserID)
	return p.admit(h, ttl.Milliseconds(), now), nil
}

func (p *product) admit(h booking.Hold, ttl, now int64) booking.Placement {
	at := p.places[h.UserID]
	switch {
	case !p.known:
		return booking.Placement{Code: booking.PlaceCold}
	case !p.facts.Active:
		return booking.Placement{Code: booking.PlaceInactive}
	case at.expiry == forever:
		return booking.Placement{Code: booking.PlacePurchased, BookingID: at.booking}
	case at.expiry > now:
		return booking.Placement{Code: booking.PlaceDuplicate, Token: at.token, Deadline: moment(at.expiry)}
	case now < p.facts.SaleStartAt.UnixMilli():
		return booking.Placement{Code: booking.PlaceNotOpen, Deadline: p.facts.SaleStartAt}
	case now >= p.facts.CheckInAt.UnixMilli():
		return booking.Placement{Code: booking.PlaceClosed}
	case p.taken(now) >= p.facts.Stock:
		return booking.Placement{Code: booking.PlaceSoldOut, Deadline: moment(p.firstLapse(now))}
	}
	p.places[h.UserID] = place{token: h.Token, expiry: now + ttl}
	return booking.Placement{Code: booking.PlaceNew, Token: h.Token, Deadline: moment(now + ttl)}
}

// firstLapse is when the earliest live hold lapses; forever if there is none.
func (p *product) firstLapse(now int64) int64 {
	first := int64(forever)
	for _, at := range p.places {
		if at.expiry > now {
			first = min(first, at.expiry)
		}
	}
	return first
}

// Ensure makes the hold last at least until the deadline, taking a free unit again if it
// has lapsed.
func (g *Gate) Ensure(_ context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	p, now := g.lock(h.ProductID)
	defer g.mu.Unlock()
	delete(p.marks, h.UserID)
	if !p.known {
		p.warming = ""
		return booking.EnsureCold, nil
	}
	at, until := p.places[h.UserID], millis(deadline)
	switch {
	case at.expiry > now && at.token != h.Token:
		return booking.EnsureOther, nil
	case at.expiry > now:
		at.expiry = max(at.expiry, until)
		p.places[h.UserID] = at
		return booking.EnsureOK, nil
	case until <= now || p.taken(now) >= p.facts.Stock:
		return booking.EnsureLost, nil
	}
	p.places[h.UserID] = place{token: h.Token, expiry: until}
	return booking.EnsureOK, nil
}

// Confirm makes the place permanent, if it is a live hold under the token.
func (g *Gate) Confirm(_ context.Context, h booking.Hold, bookingID int64) error {
	p, now := g.lock(h.ProductID)
	defer g.mu.Unlock()
	delete(p.marks, h.UserID)
	if !p.known {
		p.warming = ""
		return nil
	}
	if at := p.places[h.UserID]; at.expiry > now && at.expiry != forever && at.token == h.Token {
		p.places[h.UserID] = place{h.Token, forever, bookingID}
	}
	return nil
}

// Release empties the place, if its token is the hold's.
func (g *Gate) Release(_ context.Context, h booking.Hold) error {
	p, _ := g.lock(h.ProductID)
	defer g.mu.Unlock()
	delete(p.marks, h.UserID)
	if !p.known {
		p.warming = ""
		return nil
	}
	if p.places[h.UserID].token == h.Token {
		delete(p.places, h.UserID)
	}
	return nil
}

// Occupancies reads several products, in the order asked, without warming any.
func (g *Gate) Occupancies(_ context.Context, productIDs ...int64) ([]booking.Occupancy, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []booking.Occupancy
	for _, id := range productIDs {
		p, now := g.open(id)
		all = append(all, p.occupancy(id, now))
	}
	return all, nil
}

func (p *product) occupancy(productID, now int64) booking.Occupancy {
	if !p.known {
		return booking.Occupancy{Cold: true, Facts: booking.Facts{ProductID: productID}}
	}
	o := booking.Occupancy{Facts: p.facts}
	for _, at := range p.places {
		switch {
		case at.expiry == forever:
			o.Confirmed++
		case at.expiry > now:
			o.Held++
		}
	}
	o.Available = max(0, o.Facts.Stock-o.Held-o.Confirmed)
	return o
}

// MarkWarm announces that the caller is about to read the database for a cold gate. The
// mark stands for 3 s from the first call that left it.
func (g *Gate) MarkWarm(_ context.Context, productID int64, nonce string) (bool, error) {
	p, now := g.lock(productID)
	defer g.mu.Unlock()
	if p.known || p.warming != "" && p.warming != nonce {
		return false, nil
	}
	if p.warming == "" {
		p.warming, p.warmUntil = nonce, now+warmTTL.Milliseconds()
	}
	return true, nil
}

// UnmarkWarm takes the caller's own mark back.
func (g *Gate) UnmarkWarm(_ context.Context, productID int64, nonce string) error {
	p, _ := g.lock(productID)
	defer g.mu.Unlock()
	if p.warming == nonce {
		p.warming = ""
	}
	return nil
}

// Seed fills the gate if it is still cold and the mark still bears the nonce; places
// whose deadline has passed are left out.
func (g *Gate) Seed(_ context.Context, nonce string, facts booking.Facts, places []booking.Place) (bool, error) {
	if err := check(facts); err != nil {
		return false, err
	}
	p, now := g.lock(facts.ProductID)
	defer g.mu.Unlock()
	if p.known || p.warming != nonce {
		return false, nil
	}
	p.known, p.facts, p.warming = true, rounded(facts), ""
	clear(p.places)
	for _, one := range places {
		switch until := millis(one.Deadline); {
		case one.Confirmed:
			p.places[one.UserID] = place{one.Token, forever, one.BookingID}
		case until > now:
			p.places[one.UserID] = place{token: one.Token, expiry: until}
		}
	}
	return true, nil
}

// PutFacts writes the facts if they are newer than the gate's. A cold gate stays cold.
func (g *Gate) PutFacts(_ context.Context, facts booking.Facts) (changed bool, err error) {
	if err := check(facts); err != nil {
		return false, err
	}
	p, _ := g.lock(facts.ProductID)
	defer g.mu.Unlock()
	if !p.known || facts.Version <= p.facts.Version {
		return false, nil
	}
	p.facts = rounded(facts)
	return true, nil
}

var errFacts = errors.New("gate: version and stock of a product are never negative")

func check(f booking.Facts) error {
	if f.Version < 0 || f.Stock < 0 {
		return booking.ErrInternal.Because(errFacts)
	}
	return nil
}

// rounded is the facts as they come back from the gate.
func rounded(f booking.Facts) booking.Facts {
	f.SaleStartAt, f.CheckInAt = moment(millis(f.SaleStartAt)), moment(millis(f.CheckInAt))
	return f
}

// millis rounds up: what lasts until a moment never ends before it.
func millis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}

// moment is the zero time for forever.
func moment(ms int64) time.Time {
	if ms == forever {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
