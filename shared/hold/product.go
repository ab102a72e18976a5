package hold

import (
	"context"
	"errors"

	"stayhold/lua"
	"stayhold/shared/booking"
)

// Occupancies reads several products, in the order asked and in one flush, without
// warming any. Each is one moment's view; together they are not.
func (g *Gate) Occupancies(ctx context.Context, productIDs ...int64) ([]booking.Occupancy, error) {
	if len(productIDs) == 0 {
		return nil, nil
	}
	reads := make([]invocation, len(productIDs))
	for i, id := range productIDs {
		k := keysOf(g.prefix, id)
		reads[i] = invocation{script: lua.ReadProduct, keys: []string{k.product, k.holds}}
	}
	replies, err := g.runAll(ctx, reads)
	if err != nil {
		return nil, err
	}
	all := make([]booking.Occupancy, len(productIDs))
	for i, r := range replies {
		if all[i], err = occupancy(r, productIDs[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func occupancy(r reply, productID int64) (booking.Occupancy, error) {
	switch r.text(r.list(1)[0]) {
	case "COLD":
		return booking.Occupancy{Cold: true, Facts: booking.Facts{ProductID: productID}}, nil
	case "WARM":
		v := r.list(8)
		o := booking.Occupancy{
			Facts: booking.Facts{
				ProductID:   productID,
				Version:     r.integer(v[1]),
				Stock:       r.integer(v[2]),
				SaleStartAt: r.moment(v[3]),
				CheckInAt:   r.moment(v[4]),
				Active:      r.text(v[5]) == "1",
			},
			Held:      r.integer(v[6]),
			Confirmed: r.integer(v[7]),
		}
		o.Available = max(0, o.Facts.Stock-o.Held-o.Confirmed)
		return o, r.err
	}
	r.misfit()
	return booking.Occupancy{}, r.err
}

// MarkWarm announces that the caller is about to read the database for a cold gate.
// The mark stands for 3 s. False: the gate is warm, or another caller's mark stands.
func (g *Gate) MarkWarm(ctx context.Context, productID int64, nonce string) (bool, error) {
	k := keysOf(g.prefix, productID)
	return g.yes(ctx, invocation{
		script: lua.MarkWarm,
		keys:   []string{k.product, k.warm},
		args:   []string{nonce, decimal(warmTTL.Milliseconds())},
	})
}

// UnmarkWarm takes the caller's own mark back; another caller's stands.
func (g *Gate) UnmarkWarm(ctx context.Context, productID int64, nonce string) error {
	_, err := g.yes(ctx, invocation{
		script: lua.UnmarkWarm,
		keys:   []string{keysOf(g.prefix, productID).warm},
		args:   []string{nonce},
	})
	return err
}

// seedPart is how many places one call writes: others wait for the server some
// milliseconds at a time, however many there are.
const seedPart = 250

// Seed fills the gate if it is still cold and the warm mark still bears the nonce;
// places whose deadline has passed are left out. Many places go in parts, each of which
// asks for the mark that the one before has left: the gate is cold until the last one
// stands, and whatever made the mark void in between makes all of them void.
func (g *Gate) Seed(ctx context.Context, nonce string, facts booking.Facts, places []booking.Place) (bool, error) {
	if err := check(facts); err != nil {
		return false, err
	}
	for n := int64(0); ; n++ {
		part := places[:min(seedPart, len(places))]
		places = places[len(part):]
		last := len(places) == 0
		ok, err := g.seed(ctx, nonce, facts, part, n, last)
		if err != nil || !ok || last {
			return ok, err
		}
	}
}

func (g *Gate) seed(ctx context.Context, nonce string, facts booking.Facts, part []booking.Place, written int64, last bool) (bool, error) {
	args := make([]string, 0, 9+4*len(part))
	args = append(args, nonce, decimal(written), flag(last), decimal(warmTTL.Milliseconds()))
	args = append(args, factArgs(facts)...)
	for _, p := range part {
		deadline := "+inf"
		if !p.Confirmed {
			deadline = millis(p.Deadline)
		}
		args = append(args, decimal(p.UserID), p.Token, deadline, decimal(p.BookingID))
	}
	k := keysOf(g.prefix, facts.ProductID)
	return g.yes(ctx, invocation{
		script: lua.SeedProduct,
		keys:   []string{k.product, k.holds, k.tokens, k.warm, k.bookings},
		args:   args,
	})
}

// PutFacts writes the facts if they are newer than the gate's. A cold gate stays cold.
func (g *Gate) PutFacts(ctx context.Context, facts booking.Facts) (changed bool, err error) {
	if err := check(facts); err != nil {
		return false, err
	}
	return g.yes(ctx, invocation{
		script: lua.PutFacts,
		keys:   []string{keysOf(g.prefix, facts.ProductID).product},
		args:   factArgs(facts),
	})
}

var errFacts = errors.New("gate: version and stock of a product are never negative")

// check refuses facts that the scripts would misread. They come from rows whose CHECKs
// rule this out, so that it is our own fault and not the caller's.
func check(f booking.Facts) error {
	if f.Version < 0 || f.Stock < 0 {
		return booking.ErrInternal.Because(errFacts)
	}
	return nil
}

func factArgs(f booking.Facts) []string {
	return []string{decimal(f.Version), decimal(f.Stock), millis(f.SaleStartAt), millis(f.CheckInAt), flag(f.Active)}
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// yes runs a script that answers 1 or 0.
func (g *Gate) yes(ctx context.Context, in invocation) (bool, error) {
	r, err := g.run(ctx, in)
	if err != nil {
		return false, err
	}
	answer := r.integer(r.value)
	if answer != 0 && answer != 1 {
		r.misfit()
	}
	return answer == 1, r.err
}
