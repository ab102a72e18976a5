package hold

import (
	"context"
	"time"

	"stayhold/lua"
	"stayhold/shared/booking"
)

// Place admits the user and holds one unit for ttl (whole milliseconds), or says why
// not. Run twice, the second run finds the first one's hold: DUPLICATE with the same
// token. ErrCommitResultUnknown: the unit may be held; ErrUnavailable: it is not.
func (g *Gate) Place(ctx context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	k := keysOf(g.prefix, h.ProductID)
	r, err := g.run(ctx, invocation{
		script: lua.PlaceHold,
		keys:   []string{k.product, k.holds, k.tokens, k.marks, k.bookings},
		args:   []string{decimal(h.UserID), h.Token, decimal(ttl.Milliseconds())},
	})
	switch {
	case err != nil && unheard(err):
		return booking.Placement{}, booking.ErrCommitResultUnknown.Because(err) // the unit may be held
	case err != nil:
		return booking.Placement{}, err
	}
	values := r.list(1)
	p := booking.Placement{Code: booking.PlaceCode(r.text(values[0]))}
	switch p.Code {
	case booking.PlaceNew, booking.PlaceDuplicate:
		values = r.list(3)
		p.Token, p.Deadline = r.text(values[1]), r.moment(values[2])
	case booking.PlaceNotOpen, booking.PlaceSoldOut:
		p.Deadline = r.moment(r.list(2)[1])
	case booking.PlacePurchased:
		p.BookingID = r.integer(r.list(2)[1])
	case booking.PlaceCold, booking.PlaceInactive, booking.PlaceClosed:
	default:
		r.misfit()
	}
	if r.err != nil {
		return booking.Placement{}, r.err
	}
	return p, nil
}

// Ensure makes the hold last at least until the deadline, taking a free unit again if
// it has lapsed. A hold that has lapsed and a deadline that has passed by the gate's
// clock are LOST.
func (g *Gate) Ensure(ctx context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	k := keysOf(g.prefix, h.ProductID)
	code, err := g.code(ctx, invocation{
		script: lua.EnsureHold,
		keys:   []string{k.product, k.holds, k.tokens, k.marks, k.warm},
		args:   []string{decimal(h.UserID), h.Token, millis(deadline)},
	})
	switch c := booking.EnsureCode(code); {
	case err != nil:
		return "", err
	case c == booking.EnsureOK, c == booking.EnsureOther, c == booking.EnsureLost, c == booking.EnsureCold:
		return c, nil
	}
	return "", unavailable(lua.EnsureHold.Name, errReply)
}

// Confirm makes the place permanent, if it is a live hold under the token, and keeps
// the booking's id with it; on any other place, and on a cold gate, it does nothing.
func (g *Gate) Confirm(ctx context.Context, h booking.Hold, bookingID int64) error {
	k := keysOf(g.prefix, h.ProductID)
	_, err := g.code(ctx, invocation{
		script: lua.ConfirmHold,
		keys:   []string{k.product, k.holds, k.tokens, k.marks, k.warm, k.bookings},
		args:   []string{decimal(h.UserID), h.Token, decimal(bookingID)},
	})
	return err
}

// Release empties the place, held or confirmed, if its token is the hold's; on any
// other place, and on a cold gate, it does nothing.
func (g *Gate) Release(ctx context.Context, h booking.Hold) error {
	k := keysOf(g.prefix, h.ProductID)
	_, err := g.code(ctx, invocation{
		script: lua.ReleaseHold,
		keys:   []string{k.product, k.holds, k.tokens, k.marks, k.warm, k.bookings},
		args:   []string{decimal(h.UserID), h.Token},
	})
	return err
}

// code runs a script that answers with one word.
func (g *Gate) code(ctx context.Context, in invocation) (string, error) {
	r, err := g.run(ctx, in)
	if err != nil {
		return "", err
	}
	word := r.text(r.value)
	return word, r.err
}
