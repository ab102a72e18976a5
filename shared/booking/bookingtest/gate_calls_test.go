package bookingtest_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"stayhold/shared/booking"
)

var (
	products = []int64{1, 2}
	users    = []int64{1, 2, 3}
	nonces   = []string{"n1", "n2"}
	steps    = []time.Duration{1700 * time.Millisecond, 1700 * time.Millisecond, 37 * time.Second, 80 * time.Second, 4 * time.Minute, 50 * time.Minute, 6 * time.Hour}
	// Parts of a millisecond go in, so that they have to be rounded alike.
	deadlines = []time.Duration{-time.Minute, 3*time.Minute + 1, 11 * time.Minute, 2*time.Hour + 400*time.Microsecond}
)

// tokenOf is one of the few that a user ever has.
func tokenOf(user int64, n int) string { return fmt.Sprintf("%030x%x%x", 0, user, n) }

func pick[T any](d *duo, from []T) T { return from[d.IntN(len(from))] }

// call makes one call at random.
func (d *duo) call() {
	d.t.Helper()
	product := pick(d, products)
	switch n := d.IntN(100); {
	case n < 26:
		d.place(product)
	case n < 38:
		d.ensure(product)
	case n < 46:
		d.confirm(product)
	case n < 53:
		d.release(product)
	case n < 58:
		d.occupancies()
	case n < 65:
		d.warm(product)
	case n < 68:
		d.unmarkWarm(product)
	case n < 73:
		d.putFacts(product)
	case n < 78:
		d.places(product)
		d.some(product)
	case n < 83:
		d.markUsers(product)
	case n < 91:
		d.correct(product)
	case n < 99:
		d.pass(pick(d, steps))
	default:
		d.fake.Flush()
		d.keys.Flush()
		d.calls = append(d.calls, "flush")
	}
}

// hold is a place that somebody may have.
func (d *duo) hold(product int64) (h booking.Hold, text string) {
	user := pick(d, users)
	n := d.IntN(2)
	return booking.Hold{ProductID: product, UserID: user, Token: tokenOf(user, n)}, fmt.Sprintf("product %d user %d token %d", product, user, n)
}

func (d *duo) place(product int64) {
	d.t.Helper()
	h, text := d.hold(product)
	ttl := pick(d, []time.Duration{5 * time.Minute, 7*time.Minute + 999*time.Microsecond, 90 * time.Minute})
	d.until(ttl)
	d.both(fmt.Sprintf("Place %s for %v", text, ttl), func(s side) answer {
		p, err := s.Place(d.t.Context(), h, ttl)
		return s.answer(err, fmt.Sprintf("%s token %q booking %d", p.Code, p.Token, p.BookingID), p.Deadline)
	})
}

func (d *duo) ensure(product int64) {
	d.t.Helper()
	h, text := d.hold(product)
	left := d.until(pick(d, deadlines))
	d.both(fmt.Sprintf("Ensure %s for %v", text, left), func(s side) answer {
		code, err := s.Ensure(d.t.Context(), h, s.in(left))
		return s.answer(err, string(code))
	})
}

func (d *duo) confirm(product int64) {
	d.t.Helper()
	h, text := d.hold(product)
	id := 100 + d.Int64N(900)
	d.both(fmt.Sprintf("Confirm %s for %d", text, id), func(s side) answer {
		return s.answer(s.Confirm(d.t.Context(), h, id), "")
	})
}

func (d *duo) release(product int64) {
	d.t.Helper()
	h, text := d.hold(product)
	d.both("Release "+text, func(s side) answer { return s.answer(s.Release(d.t.Context(), h), "") })
}

func (d *duo) occupancies() {
	d.t.Helper()
	asked := append([]int64{99}, products...)[d.IntN(3):]
	d.both(fmt.Sprintf("Occupancies %v", asked), func(s side) answer {
		all, err := s.Occupancies(d.t.Context(), asked...)
		text, moments := "cold", []time.Time(nil)
		for _, o := range all {
			f := o.Facts
			if !o.Cold {
				text = "warm"
			}
			moments = append(moments, f.SaleStartAt, f.CheckInAt)
		}
		for _, o := range all {
			f := o.Facts
			text += fmt.Sprintf(" [%d cold %t version %d stock %d active %t available %d held %d confirmed %d]",
				f.ProductID, o.Cold, f.Version, f.Stock, f.Active, o.Available, o.Held, o.Confirmed)
		}
		return s.answer(err, text, moments...)
	})
}

// facts are newer than any before, or not.
func (d *duo) facts(product int64) func(side) booking.Facts {
	version := d.newest + d.Int64N(4) - 1
	if d.IntN(30) == 0 {
		version = -1
	}
	d.newest = max(d.newest, version)
	start, end := -time.Hour, 26*time.Hour
	if d.IntN(8) == 0 {
		start = 13*time.Minute + 7*time.Microsecond
	}
	if d.IntN(12) == 0 {
		end = -time.Minute
	}
	d.until(start)
	d.until(end)
	f := booking.Facts{ProductID: product, Version: version, Stock: pick(d, []int64{0, 1, 1, 2, 2, 3, 3}), Active: d.IntN(10) > 0}
	return func(s side) booking.Facts {
		f.SaleStartAt, f.CheckInAt = s.in(start), s.in(end)
		return f
	}
}

func (d *duo) putFacts(product int64) {
	d.t.Helper()
	facts := d.facts(product)
	f := facts(side{})
	d.both(fmt.Sprintf("PutFacts product %d version %d stock %d active %t", product, f.Version, f.Stock, f.Active), func(s side) answer {
		ok, err := s.PutFacts(d.t.Context(), facts(s))
		return s.answer(err, fmt.Sprint(ok))
	})
}

// warm leaves a mark, seeds, or does the one, perhaps something else, and the other.
func (d *duo) warm(product int64) {
	d.t.Helper()
	nonce := pick(d, nonces)
	both := d.IntN(2) == 0
	if both || d.IntN(2) == 0 {
		d.markWarm(product, nonce)
		if !both {
			return
		}
	}
	switch d.IntN(6) {
	case 0, 1:
		d.call()
	case 2:
		d.pass(steps[0])
		d.markWarm(product, nonce)
		d.pass(steps[0])
	}
	facts, places := d.facts(product), d.seats()
	f := facts(side{})
	d.both(fmt.Sprintf("Seed product %d nonce %s stock %d places %v", product, nonce, f.Stock, places), func(s side) answer {
		ok, err := s.Seed(d.t.Context(), nonce, facts(s), s.seated(places))
		return s.answer(err, fmt.Sprint(ok))
	})
}

func (d *duo) markWarm(product int64, nonce string) {
	d.t.Helper()
	d.until(3 * time.Second)
	d.both(fmt.Sprintf("MarkWarm product %d nonce %s", product, nonce), func(s side) answer {
		ok, err := s.MarkWarm(d.t.Context(), product, nonce)
		return s.answer(err, fmt.Sprint(ok))
	})
}

// seat is a place whose deadline, unless it is confirmed, is so far ahead.
type seat struct {
	user  int64
	token int
	id    int64 // 0: a hold
	left  time.Duration
}

func (d *duo) seat() seat {
	p := seat{user: pick(d, users), token: d.IntN(2), left: d.until(pick(d, deadlines))}
	if d.IntN(3) == 0 {
		p.id = 100 + d.Int64N(900)
	}
	return p
}

func (d *duo) seats() []seat {
	places := make([]seat, d.IntN(3))
	for i := range places {
		places[i] = d.seat()
	}
	return places
}

func (s side) seated(seats []seat) []booking.Place {
	var places []booking.Place
	for _, p := range seats {
		places = append(places, s.sit(p))
	}
	return places
}

func (s side) sit(p seat) booking.Place {
	place := booking.Place{UserID: p.user, Token: tokenOf(p.user, p.token), BookingID: p.id, Confirmed: p.id != 0}
	if !place.Confirmed {
		place.Deadline = s.in(p.left)
	}
	return place
}

func (d *duo) unmarkWarm(product int64) {
	d.t.Helper()
	nonce := pick(d, nonces)
	d.both(fmt.Sprintf("UnmarkWarm product %d nonce %s", product, nonce), func(s side) answer {
		return s.answer(s.UnmarkWarm(d.t.Context(), product, nonce), "")
	})
}

func (d *duo) places(product int64) {
	d.t.Helper()
	d.both(fmt.Sprintf("Places product %d", product), func(s side) answer {
		found := map[int64]booking.Place{}
		for cursor := uint64(0); ; {
			page, next, err := s.Places(d.t.Context(), product, cursor)
			if err != nil {
				return s.answer(err, "")
			}
			for _, p := range page {
				found[p.UserID] = p
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
		text, moments := "none", []time.Time(nil)
		if len(found) > 0 {
			text = fmt.Sprint(len(found))
		}
		for _, user := range users {
			if p, ok := found[user]; ok {
				text += fmt.Sprintf(" [%d %s booking %d confirmed %t]", user, p.Token, p.BookingID, p.Confirmed)
				moments = append(moments, p.Deadline)
			}
		}
		return s.answer(nil, text, moments...)
	})
}

// some reads the places of some users, and those that last long.
func (d *duo) some(product int64) {
	d.t.Helper()
	whom := users[:1+d.IntN(len(users))]
	d.list(fmt.Sprintf("PlacesOf product %d users %v", product, whom), func(s side) ([]booking.Place, error) {
		list, err := s.PlacesOf(d.t.Context(), product, whom)
		slices.SortFunc(list, func(a, b booking.Place) int { return cmp.Compare(a.UserID, b.UserID) })
		return list, err
	})
	longer := pick(d, []time.Duration{113 * time.Millisecond, 3*time.Minute + 613*time.Millisecond, 64*time.Minute + 413*time.Millisecond}) // never to the moment
	d.list(fmt.Sprintf("LongHolds product %d longer than %s", product, longer), func(s side) ([]booking.Place, error) {
		list, err := s.LongHolds(d.t.Context(), product, longer)
		longestFirst := func(a, b booking.Place) int { return b.Deadline.Compare(a.Deadline) }
		if !slices.IsSortedFunc(list, longestFirst) {
			d.t.Errorf("SEED=%d: %T lists %+v", d.seed, s.Gate, list)
		}
		// Two holds of one millisecond on one side's clock may be of two on the other's.
		slices.SortFunc(list, func(a, b booking.Place) int { return cmp.Compare(a.UserID, b.UserID) })
		return list, err
	})
}

func (d *duo) list(call string, read func(s side) ([]booking.Place, error)) {
	d.t.Helper()
	d.both(call, func(s side) answer {
		list, err := read(s)
		text, moments := "none", []time.Time(nil)
		if len(list) > 0 {
			text = fmt.Sprint(len(list))
		}
		for _, p := range list {
			text += fmt.Sprintf(" [%d %s booking %d confirmed %t]", p.UserID, p.Token, p.BookingID, p.Confirmed)
			moments = append(moments, p.Deadline)
		}
		return s.answer(err, text, moments...)
	})
}

// markUsers returns the nonce.
func (d *duo) markUsers(product int64) string {
	d.t.Helper()
	nonce, marked := pick(d, nonces), users[d.IntN(4):]
	d.until(time.Minute)
	d.both(fmt.Sprintf("MarkUsers product %d nonce %s users %v", product, nonce, marked), func(s side) answer {
		return s.answer(s.MarkUsers(d.t.Context(), product, nonce, marked), "")
	})
	return nonce
}

// correction is one of some kind: it is said on each side in the side's own time.
type correction struct {
	seat
	kind string
}

func (d *duo) correct(product int64) {
	d.t.Helper()
	nonce := pick(d, nonces)
	if d.IntN(4) > 0 {
		nonce = d.markUsers(product)
		switch d.IntN(6) {
		case 0, 1:
			d.call()
		case 2:
			d.pass(pick(d, steps[2:4]))
		case 3:
			// A second mark lengthens the first one's life too.
			d.pass(steps[2])
			d.markUsers(product)
			d.pass(steps[2])
		}
	}
	wanted := make([]correction, max(1, d.IntN(4)))
	for i := range wanted {
		wanted[i] = correction{d.seat(), pick(d, []string{"confirm", "remove", "hold", "nothing"})}
		if wanted[i].kind == "confirm" && wanted[i].id == 0 {
			wanted[i].id = 1
		}
	}
	changed := map[int64]bool{}
	d.both(fmt.Sprintf("Correct product %d nonce %s %v", product, nonce, wanted), func(s side) answer {
		var corrections []booking.Correction
		for _, w := range wanted {
			corrections = append(corrections, s.correction(w))
		}
		got, err := s.Correct(d.t.Context(), product, nonce, corrections)
		for _, user := range got {
			changed[user] = true
		}
		return s.answer(err, fmt.Sprint(got))
	})
	if len(wanted) == 1 {
		d.seen[fmt.Sprintf("%s %t", wanted[0].kind, changed[wanted[0].user])] = true
	}
}

func (s side) correction(w correction) booking.Correction {
	c := booking.Correction{Place: booking.Place{UserID: w.user, Token: tokenOf(w.user, w.token)}}
	switch w.kind {
	case "confirm":
		c.Confirmed, c.BookingID = true, w.id
	case "remove":
		// Removing goes before whatever else a correction says.
		c.Remove, c.Deadline = true, s.in(w.left)
	case "hold":
		c.Deadline = s.in(w.left)
	}
	return c
}
