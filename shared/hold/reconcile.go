package hold

import (
	"context"
	"strconv"

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
	next, err = strconv.ParseUint(r.text(values[0]), 10, 64)
	if err != nil || len(values)%4 != 1 {
		r.misfit()
		return nil, 0, r.err
	}
	for v := values[1:]; len(v) > 0; v = v[4:] {
		p := booking.Place{UserID: r.integer(v[0]), Token: r.text(v[1]), Deadline: r.moment(v[2]), BookingID: r.integer(v[3])}
		p.Confirmed = p.Deadline.IsZero()
		places = append(places, p)
	}
	if r.err != nil {
		return nil, 0, r.err
	}
	return places, next, nil
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
		kind, detail := "", "0"
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
