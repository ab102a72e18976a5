package bookingtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
)

const (
	gateSeeds = 250
	gateCalls = 110
)

// side is a gate and the moment that its clock shows when a call begins.
type side struct {
	booking.Gate
	clock time.Time
}

// in is a moment so far ahead.
func (s side) in(left time.Duration) time.Time { return s.clock.Add(left) }

// answer is what a call came to: in words, and the moments in it as the time left.
type answer struct {
	text string
	left []time.Duration
}

func (s side) answer(err error, text string, moments ...time.Time) answer {
	if known := new(booking.Error); errors.As(err, &known) {
		return answer{text: known.Code}
	}
	var a answer
	for _, m := range moments {
		if m.IsZero() {
			text += " never"
			continue
		}
		text += " then"
		a.left = append(a.left, m.Sub(s.clock))
	}
	a.text = text
	return a
}

// duo gives every call to the gate in memory and to the one on Redis. Both clocks are
// this machine's; what passes beyond that is passed on the fake's by its own clock, and
// on Redis by its keys.
type duo struct {
	*rand.Rand
	t      *testing.T
	seed   uint64
	fake   *bookingtest.Gate
	real   *hold.Gate
	keys   *holdtest.Keys
	clock  time.Time       // the fake's
	passed time.Duration   // on top of this machine's time
	ends   []time.Duration // moments at which an answer changes, on the scale of passed
	slack  time.Duration   // the longest time between the two clocks' readings so far
	calls  []string
	seen   map[string]bool
	newest int64 // version of the facts
}

func newDuo(t *testing.T, url string, seed uint64) *duo {
	t.Helper()
	// The time tells its keys from those of an earlier duo of the same seed.
	prefix := fmt.Sprintf("%s.%d.%d:", t.Name(), time.Now().UnixNano(), seed)
	gate, err := hold.New(hold.Options{URL: url, Prefix: prefix, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gate.Close() })
	d := &duo{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t, seed: seed, real: gate, seen: map[string]bool{},
		keys: holdtest.KeysOf(t, url, prefix, products...),
	}
	d.fake = bookingtest.NewGate(func() time.Time { return d.clock })
	return d
}

// both makes one call on both sides and compares.
func (d *duo) both(call string, run func(side) answer) answer {
	d.t.Helper()
	now := time.Now()
	d.clock = now.Add(d.passed)
	fake := run(side{d.fake, d.clock})
	real := run(side{d.real, now})
	d.slack = max(d.slack, time.Since(now))
	d.calls = append(d.calls, fmt.Sprintf("%s: %s %v", call, fake.text, fake.left))
	same := fake.text == real.text && len(fake.left) == len(real.left)
	for i := 0; same && i < len(fake.left); i++ {
		// Either clock is read to the millisecond.
		same = (fake.left[i] - real.left[i]).Abs() <= d.slack+2*time.Millisecond
	}
	if !same {
		d.t.Fatalf("SEED=%d, after %d calls:\n%s\nthe fake answers %s %v, Redis %s %v", d.seed, len(d.calls),
			strings.Join(d.calls, "\n"), fake.text, fake.left, real.text, real.left)
	}
	d.seen[strings.Fields(call)[0]+" "+strings.Fields(fake.text + " -")[0]] = true
	return fake
}

// pass lets time pass, and more of it rather than end next to a moment that decides
// something: the two sides' clocks are not read at once.
func (d *duo) pass(by time.Duration) {
	d.t.Helper()
	to := d.passed + by
	for slices.ContainsFunc(d.ends, func(end time.Duration) bool { return end > to-300*time.Millisecond && end < to+time.Second }) {
		to += 2100 * time.Millisecond
	}
	d.keys.Age(to - d.passed)
	d.passed = to
	d.calls = append(d.calls, fmt.Sprintf("time passes: it is %v", to))
}

// until records a moment so far ahead that decides something.
func (d *duo) until(left time.Duration) time.Duration {
	d.ends = append(d.ends, d.passed+left)
	return left
}

// The fake answers as the scripts on Redis do, whatever comes in whatever order.
func TestGateConforms(t *testing.T) {
	t.Parallel()
	url := holdtest.URL(t)
	seeds := seedsOf(t, gateSeeds)
	seen := map[string]bool{}
	for _, seed := range seeds {
		d := newDuo(t, url, seed)
		for range gateCalls {
			d.call()
		}
		for answer := range d.seen {
			seen[answer] = true
		}
		_ = d.real.Close()
	}
	wantSeen(t, seeds, seen, gateAnswers)
}

// seedsOf is as many seeds as asked, or the one that SEED names.
func seedsOf(t *testing.T, n uint64) []uint64 {
	t.Helper()
	if text := os.Getenv("SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		return []uint64{seed}
	}
	var seeds []uint64
	for seed := range n {
		seeds = append(seeds, seed+1)
	}
	return seeds
}

// wantSeen holds a whole run, not the replay of one seed, to what has to occur in it.
func wantSeen(t *testing.T, seeds []uint64, seen map[string]bool, want []string) {
	t.Helper()
	for _, what := range want {
		if !seen[what] && len(seeds) > 1 {
			t.Errorf("never happened: %s", what)
		}
	}
}

// gateAnswers is every method with every answer that it has.
var gateAnswers = []string{
	"Place COLD", "Place INACTIVE", "Place PURCHASED", "Place DUPLICATE", "Place NOT_OPEN", "Place CLOSED", "Place SOLD_OUT", "Place NEW",
	"Ensure OK", "Ensure OTHER", "Ensure LOST", "Ensure COLD", "Confirm -", "Release -", "Occupancies cold", "Occupancies warm",
	"MarkWarm true", "MarkWarm false", "UnmarkWarm -", "Seed true", "Seed false", "Seed INTERNAL", "PutFacts true", "PutFacts false", "PutFacts INTERNAL",
	"PlacesOf none", "PlacesOf 1", "PlacesOf 2", "LongHolds none", "LongHolds 1", "LongHolds 2",
	"Places none", "Places 1", "Places 2", "Places 3", "MarkUsers -",
	"confirm true", "confirm false", "remove true", "remove false", "hold true", "hold false", "nothing false",
}

// The answers that the two sides give are also the right ones: moments are rounded so
// that nothing ends early, and SOLD_OUT names the first hold to lapse.
func TestGateRoundsMoments(t *testing.T) {
	t.Parallel()
	d := newDuo(t, holdtest.URL(t), 0)
	ctx := t.Context()
	for _, s := range []side{{d.fake, time.Now()}, {d.real, time.Now()}} {
		d.clock = s.clock
		whole := s.clock.Truncate(time.Millisecond).Add(time.Hour).UTC()
		facts := booking.Facts{ProductID: 1, Version: 1, Stock: 2, Active: true, SaleStartAt: s.in(-time.Hour), CheckInAt: whole.Add(time.Nanosecond)}
		must(t, s.warm(ctx, facts))
		for user, part := range map[int64]time.Duration{1: 1, 2: time.Millisecond} {
			if code, err := s.Ensure(ctx, booking.Hold{ProductID: 1, UserID: user, Token: tokenOf(user, 0)}, whole.Add(part)); err != nil || code != booking.EnsureOK {
				t.Fatalf("%T: ensure %s %v", s.Gate, code, err)
			}
		}
		p, err := s.Place(ctx, booking.Hold{ProductID: 1, UserID: 3, Token: tokenOf(3, 0)}, time.Minute)
		if want := whole.Add(time.Millisecond); err != nil || p.Code != booking.PlaceSoldOut || p.Deadline != want {
			t.Errorf("%T: %+v %v, want %v", s.Gate, p, err, want)
		}
		o, err := s.Occupancies(ctx, 1)
		if want := whole.Add(time.Millisecond); err != nil || o[0].Facts.CheckInAt != want {
			t.Errorf("%T: %+v %v, want %v", s.Gate, o, err, want)
		}
	}
}

// A state that is brought back is the state that was saved, each time.
func TestGateIsBroughtBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	now := time.UnixMilli(1_700_000_000_000).UTC()
	g := bookingtest.NewGate(func() time.Time { return now })
	facts := booking.Facts{ProductID: 1, Version: 1, Stock: 2, Active: true, SaleStartAt: now.Add(-time.Hour), CheckInAt: now.Add(time.Hour)}
	must(t, side{g, now}.warm(ctx, facts))
	one := booking.Hold{ProductID: 1, UserID: 1, Token: tokenOf(1, 0)}
	if p, err := g.Place(ctx, one, 5*time.Minute); err != nil || p.Code != booking.PlaceNew {
		t.Fatalf("%+v %v", p, err)
	}
	must(t, g.MarkUsers(ctx, 1, "n", []int64{1}))
	saved := g.Save()
	for range 2 {
		must(t, g.Confirm(ctx, one, 11))
		facts.Version++
		if ok, err := g.PutFacts(ctx, facts); err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		if p, err := g.Place(ctx, booking.Hold{ProductID: 1, UserID: 2, Token: tokenOf(2, 0)}, time.Minute); err != nil || p.Code != booking.PlaceNew {
			t.Fatalf("%+v %v", p, err)
		}
		g.Restore(saved)
		if o, err := g.Occupancies(ctx, 1); err != nil || o[0].Held != 1 || o[0].Confirmed != 0 || o[0].Facts.Version != 1 {
			t.Fatalf("%+v %v", o, err)
		}
		if changed, err := g.Correct(ctx, 1, "n", []booking.Correction{{Place: booking.Place{UserID: 1, Token: one.Token, BookingID: 11, Confirmed: true}}}); err != nil || len(changed) != 1 {
			t.Fatalf("the mark is not back: %v %v", changed, err)
		}
		g.Restore(saved)
	}
	now = now.Add(6 * time.Minute)
	g.Restore(saved)
	if code, err := g.Ensure(ctx, one, now.Add(-time.Second)); err != nil || code != booking.EnsureLost {
		t.Errorf("a hold that lapsed since: %s %v", code, err)
	}
	g.Flush()
	if p, err := g.Place(ctx, one, time.Minute); err != nil || p.Code != booking.PlaceCold {
		t.Errorf("after a flush: %+v %v", p, err)
	}
}

// warm seeds a product without places.
func (s side) warm(ctx context.Context, facts booking.Facts) error {
	if ok, err := s.MarkWarm(ctx, facts.ProductID, "warmer"); err != nil || !ok {
		return fmt.Errorf("mark: %v %w", ok, err)
	}
	if ok, err := s.Seed(ctx, "warmer", facts, nil); err != nil || !ok {
		return fmt.Errorf("seed: %v %w", ok, err)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
