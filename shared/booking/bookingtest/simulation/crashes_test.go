package simulation_test

import (
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// story is what one buyer does from the beginning, and what is done to him. An actor
// without a name is not cut: it is what happens around.
type story struct {
	name string
	set  booking.Set
	key  string
	acts []actor
}

func around(happens func(w *world, m *meeting)) actor {
	return actor{run: func(s steps, m *meeting) error {
		happens(s.w, m)
		return nil
	}}
}

var (
	begin = actor{"reserve", func(s steps, m *meeting) error {
		r, err := s.reserve(m.user, m.product, nil)
		if r.Booking.ID != 0 { // a conflict names the booking that a lost reply did not
			m.booking = r.Booking.ID
		}
		return err
	}}
	choose    = actor{"register", func(s steps, m *meeting) error { return second(s.register(m.user, m.booking, m.set)) }}
	message   = actor{"message", func(s steps, m *meeting) error { return s.compensate(m.booking) }}
	sweepAll  = actor{"sweep", func(s steps, _ *meeting) error { return s.sweep() }}
	adminEnds = actor{"cancel by an administrator", func(s steps, m *meeting) error {
		return second(s.admin().CancelBooking(s.ctx, m.booking, "overbooked"))
	}}
	grant = actor{"grant points", func(s steps, m *meeting) error {
		return second(s.admin().GrantPoints(s.ctx, m.user, amount("1000"), "test"))
	}}
	lapses  = around(func(*world, *meeting) { time.Sleep(holdTTL + paymentWindow + sweepGrace + time.Minute) })
	waits   = around(func(*world, *meeting) { time.Sleep(26 * time.Second) })
	flushes = around(func(w *world, _ *meeting) { w.gate.Flush() })
)

func stories() []story {
	both := set("20000", "30000", booking.Card)
	one := set("", "50000", booking.Card)
	list := []story{
		{"card", one, "ok-", []actor{begin, choose, approve, complete}},
		{"wallet", set("", "50000", booking.YPay), "ok-", []actor{begin, choose, approve, complete}},
		{"points", set("50000", "", ""), "", []actor{begin, choose, complete}},
		{"points and card", both, "ok-", []actor{begin, choose, approve, complete}},
		{"points and wallet", set("20000", "30000", booking.YPay), "ok-", []actor{begin, choose, approve, complete}},
		{"cancel held", one, "", []actor{begin, cancel}},
		{"cancel registered", one, "", []actor{begin, choose, cancel}},
		{"cancel paid", both, "ok-", []actor{begin, choose, approve, cancel, message}},
		{"cancel sold", both, "ok-", []actor{begin, choose, approve, complete, cancel, message}},
		{"refund stuck", one, "stuckcancel-", []actor{begin, choose, approve, cancel, message}},
		{"ended by an administrator", both, "ok-", []actor{begin, choose, approve, adminEnds, message}},
		{"another set", both, "ok-", []actor{begin, choose, toPoints, complete}},
		{"points gone", both, "ok-", []actor{begin, choose, approve, spend, complete, message}},
		{"lapsed", one, "ok-", []actor{begin, choose, lapses, sweepAll}},
		{"lapsed paid", both, "ok-", []actor{begin, choose, approve, lapses, sweepAll}},
		{"lapsed, retaken", one, "ok-", []actor{begin, choose, lapses, approve, lapses, complete}},
		{"lapsed, taken", one, "ok-", []actor{begin, choose, approve, lapses, rival, complete, message}},
		{"gate flushed", both, "ok-", []actor{begin, flushes, choose, approve, flushes, complete, flushes, cancel}},
		{"reconcile", one, "ok-", []actor{begin, choose, approve, lapses, complete, reconcile}},
		{"stock changes", one, "ok-", []actor{begin, lower, raise, choose, approve, complete}},
		{"grant and redrive", one, "lost-", []actor{begin, grant, choose, approve, redrive, message, complete}},
	}
	for _, prefix := range []string{"decline-", "lost-", "flaky-", "error-", "timeout-", "late-", "mismatch-"} {
		list = append(list,
			story{prefix + " repeated", one, prefix, []actor{begin, choose, approve, approve, complete}},
			story{prefix + " by message", one, prefix, []actor{begin, choose, approve, waits, message, complete}},
			story{prefix + " cancelled", both, prefix, []actor{begin, choose, approve, cancel, waits, message}},
			story{prefix + " lapsed", one, prefix, []actor{begin, choose, approve, lapses, sweepAll}},
		)
	}
	return list
}

// telling is one run of a story with its cuts.
type telling struct {
	*world
	c    *choices
	m    *meeting
	cuts int
}

// play lets a process through, cut where the choices say: it dies before its first
// call, after any call, or, as the first of the two cuts, goes on without a reply. It
// says whether it was cut.
func (t *telling) play(a actor) bool {
	p := t.start(a.name, behindTimeout, func(s steps) error { return a.run(s, t.m) })
	for first := true; p.alive; first = false {
		fates := []bookingtest.Fate{bookingtest.Passes}
		if t.cuts < 2 && a.name != "" {
			fates = append(fates, bookingtest.DiesAfter)
			if first {
				fates = append(fates, bookingtest.DiesBefore)
			}
			if t.cuts == 0 {
				fates = append(fates, bookingtest.ReplyLost)
			}
		}
		if fate := fates[t.c.choose(len(fates))]; fate != bookingtest.Passes {
			t.cuts++
			t.step(p, fate)
			for p.alive { // without the reply; another cut here would be a third process's
				t.step(p, bookingtest.Passes)
			}
			return true
		}
		t.step(p, bookingtest.Passes)
	}
	return false
}

// tell plays the acts. Who is cut repeats his call, or leaves it to the message, or to
// the sweep alone; either of these may be cut in its turn.
func (t *telling) tell(acts []actor) {
	for i := 0; i < len(acts); i++ {
		if !t.play(acts[i]) {
			continue
		}
		time.Sleep(26 * time.Second) // leases end
		switch t.c.choose(3) {
		case 0:
			i--
			continue
		case 1:
			t.play(message)
		default:
			t.queue.Take()
			lapses.run(t.plain(), t.m) //nolint:errcheck // time has none
			t.play(sweepAll)
		}
		return
	}
}

func (st story) run(t *testing.T, c *choices, trace func(string, ...any)) []string {
	w := newWorld(t.Context())
	w.judge.lenient = true // a complete that dies leaves its place to lapse
	m := &meeting{user: 7, other: 8, product: w.product(1, "50000"), key: st.key + "1", set: st.set}
	w.grant(m.user, "50000")
	w.trace = trace
	told := &telling{world: w, c: c, m: m}
	told.tell(st.acts)
	w.settle()
	return w.judge.faults
}

// recordedTwice is how many runs there were when they were last counted. Fewer means
// that a boundary, or a story, has gone missing.
const recordedTwice = 174_778

// TestTwoCrashesAnywhere cuts every invocation of every story at each of its port calls,
// and then whoever puts it right, or a later one, at each of his.
func TestTwoCrashesAnywhere(t *testing.T) {
	var total atomic.Int64
	t.Run("stories", func(t *testing.T) {
		for _, st := range stories() {
			t.Run(st.name, func(t *testing.T) {
				t.Parallel()
				total.Add(int64(walk(t, st.run)))
			})
		}
	})
	t.Logf("%d runs of %d stories", total.Load(), len(stories()))
	if !t.Failed() && total.Load() < recordedTwice {
		t.Errorf("%d runs, %d are recorded", total.Load(), recordedTwice)
	}
}
