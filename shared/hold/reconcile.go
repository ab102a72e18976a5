package hold

import (
	"context"
	"strconv"
	"time"

	"stayhold/lua"
	"stayhold/shared/booking"
)

// pageSize is about how many places one page has: some tenths of a millisecond of the
// server's time.
const pageSize = "500"

// Places pages through the places of a product, lapsed ones left out. Cursor 0 begins;
// next 0 ends. A place may come twice, and one that comes or goes while paging may be
// missed.
func (g *Gate) Places(ctx context.Context, productID int64, cursor uint64) (places []booking.Place, next uint64, err error) {
	k := keysOf(g.prefix, productID)
	r, err := g.run(ctx, invocation{
		script: lua.ListPlaces,
		keys:   []string{k.holds, k.tokens, k.bookings},
		args:   []string{strconv.FormatUint(cursor, 10), pageSize},
	})
	if err != nil {
		return nil, 0, err
	}
	values := r.list(1)
	if next, err = strconv.ParseUint(r.text(values[0]), 10, 64); err != nil {
		r.misfit()
		return nil, 0, r.err
	}
	places = r.places(values[1:])
	if r.err != nil {
		return nil, 0, r.err
	}
	return places, next, nil
}

// PlacesOf reads the places of some users, lapsed ones left out.
func (g *Gate) PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	if len(userIDs) == 0 {
		return nil, nil
	}
	args := make([]string, len(userIDs))
	for i, id := range userIDs {
		args[i] = decimal(id)
	}
	k := keysOf(g.prefix, productID)
	return g.places(ctx, invocation{script: lua.ReadPlaces, keys: []string{k.holds, k.tokens, k.bookings}, args: args})
}

// maxLongHolds bounds one answer of LongHolds.
const maxLongHolds = "100"

// LongHolds lists the holds of a product that last longer than the time from now, the
// longest first, at most 100 of them.
func (g *Gate) LongHolds(ctx context.Context, productID int64, longer time.Duration) ([]booking.Place, error) {
	k := keysOf(g.prefix, productID)
	return g.places(ctx, invocation{
		script: lua.ListLongHolds,
		keys:   []string{k.holds, k.tokens},
		args:   []string{decimal(longer.Milliseconds()), maxLongHolds},
	})
}

// places runs a script that answers with places alone.
func (g *Gate) places(ctx context.Context, in invocation) ([]booking.Place, error) {
	r, err := g.run(ctx, in)
	if err != nil {
		return nil, err
	}
	list := r.places(r.list(0))
	return list, r.err
}

// places reads four values for each place.
func (r *reply) places(v []any) (list []booking.Place) {
	if len(v)%4 != 0 {
		r.misfit()
		return nil
	}
	for ; len(v) > 0; v = v[4:] {
		p := booking.Place{UserID: r.integer(v[0]), Token: r.text(v[1]), Deadline: r.moment(v[2]), BookingID: r.integer(v[3])}
		p.Confirmed = p.Deadline.IsZero()
		list = append(list, p)
	}
	return list
}

// MarkUsers leaves a reconcile mark for each user; all marks of the product stand for
// a minute from now.
func (g *Gate) MarkUsers(ctx context.Context, productID int64, nonce string, userIDs []int64) error {
	if len(userIDs) == 0 {
		return nil
	}
	args := make([]string, 0, 2+len(userIDs))
	args = append(args, nonce, decimal(markTTL.Milliseconds()))
	for _, id := range userIDs {
		args = append(args, decimal(id))
	}
	_, err := g.yes(ctx, invocation{
		script: lua.MarkUsers,
		keys:   []string{keysOf(g.prefix, productID).marks},
		args:   args,
	})
	return err
}

// Correct applies, in order, each correction whose user's mark still bears the nonce,
// and returns the users whose place changed. Remove goes before whatever else a
// correction says; one that asks for nothing is passed over. The marks stay, so that a
// user may have two corrections: his place removed, and then written.
func (g *Gate) Correct(ctx context.Context, productID int64, nonce string, corrections []booking.Correction) (changed []int64, err error) {
	args := make([]string, 0, 1+4*len(corrections))
	args = append(args, nonce)
	for _, c := range corrections {
		var kind string
		detail := "0"
		switch {
		case c.Remove:
			kind = "remove"
		case c.Confirmed:
			kind, detail = "confirm", decimal(c.BookingID)
		case !c.Deadline.IsZero():
			kind, detail = "hold", millis(c.Deadline)
		default:
			continue
		}
		args = append(args, decimal(c.UserID), kind, c.Token, detail)
	}
	if len(args) == 1 {
		return nil, nil
	}
	k := keysOf(g.prefix, productID)
	r, err := g.run(ctx, invocation{
		script: lua.CorrectPlaces,
		keys:   []string{k.product, k.holds, k.tokens, k.marks, k.bookings},
		args:   args,
	})
	if err != nil {
		return nil, err
	}
	seen := map[int64]bool{}
	for _, user := range r.list(0) {
		if id := r.integer(user); !seen[id] {
			seen[id] = true
			changed = append(changed, id)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return changed, nil
}
