package simulation_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// actor is one of the processes that meet.
type actor struct {
	name string
	run  func(s steps, m *meeting) error
}

// meeting is where processes meet: what happened before, and who comes.
type meeting struct {
	user, other, product, second int64 // users 7 and 8, two products
	booking, otherBooking        int64
	key                          string // the payment key of the booking's charge
	set                          booking.Set
}

// encounter is a set of processes that are let through all their schedules.
type encounter struct {
	name   string
	before func(w *world, m *meeting)
	actors []actor
}

// choices walks through a tree of decisions, depth first: each run repeats the path of
// the one before up to its last decision that has another option left.
type choices struct {
	taken, options []int
	at             int
}

func (c *choices) choose(n int) int {
	if c.at == len(c.taken) {
		c.taken = append(c.taken, 0)
		c.options = append(c.options, n)
	}
	c.at++
	return c.taken[c.at-1]
}

// again prepares the next run; false when all are done.
func (c *choices) again() bool {
	c.at = 0
	for last := len(c.taken) - 1; last >= 0; last-- {
		if c.taken[last]++; c.taken[last] < c.options[last] {
			c.taken, c.options = c.taken[:last+1], c.options[:last+1]
			return true
		}
	}
	return false
}

// patience is how often a process that finds another one warming the gate looks again at
// any moment; then it looks when nobody else can do anything.
const patience = 1

// bubbleRuns bounds how long one bubble lives: its clock must not reach the end of time.
const bubbleRuns = 5000

// walk runs through all choices, and reports the first run that violates anything, with
// its trace. It returns the number of runs.
func walk(t *testing.T, run func(t *testing.T, c *choices, trace func(string, ...any)) []string) int {
	var c choices
	count := 0
	for more := true; more && !t.Failed(); {
		synctest.Test(t, func(t *testing.T) {
			for range bubbleRuns {
				count++
				if faults := run(t, &c, nil); len(faults) > 0 {
					var lines []string
					c.at = 0
					run(t, &c, func(line string, a ...any) { lines = append(lines, fmt.Sprintf(line, a...)) })
					t.Errorf("choices %v\n%s\n%s", c.taken, strings.Join(lines, "\n"), strings.Join(faults, "\n"))
					return
				}
				if more = c.again(); !more {
					return
				}
			}
		})
	}
	return count
}

// explore runs the encounter through every schedule of its processes' port calls, and
// through each of those with one of them dying before any of its calls. A process's
// death changes nothing itself, so that it is decided only right after its own last
// call. It returns the number of schedules.
func (e encounter) explore(t *testing.T) int { return walk(t, e.run) }

// run is one schedule.
func (e encounter) run(t *testing.T, c *choices, trace func(string, ...any)) []string {
	w := newWorld(t.Context())
	m := &meeting{user: 7, other: 8}
	e.before(w, m)
	w.trace = trace
	running := make([]*process, len(e.actors))
	for i, a := range e.actors {
		running[i] = w.start(a.name, behindTimeout, func(s steps) error { return a.run(s, m) })
	}
	last, died := -1, false
	for {
		able := runnable(running)
		if len(able) == 0 {
			break
		}
		mayDie := !died && (last < 0 || running[last].alive)
		deaths := 0
		switch {
		case mayDie && last < 0:
			deaths = len(able)
		case mayDie:
			deaths = 1
		}
		pick := c.choose(len(able) + deaths)
		if pick < len(able) {
			last = able[pick]
			w.step(running[last], bookingtest.Passes)
			continue
		}
		died = true
		dying := last
		if last < 0 {
			dying = able[pick-len(able)]
		}
		w.step(running[dying], bookingtest.DiesBefore)
	}
	if !died && !w.judge.lenient {
		w.judge.held(w)
	}
	w.settle()
	return w.judge.faults
}

// runnable lists the processes whose turn it may be.
func runnable(all []*process) []int {
	var able, waiting []int
	for i, p := range all {
		switch {
		case !p.alive:
		case p.naps > patience:
			waiting = append(waiting, i)
		default:
			able = append(able, i)
		}
	}
	if len(able) == 0 {
		return waiting
	}
	return able
}

// passing is the process of time itself: it lets d pass at one moment.
func passing(d time.Duration) actor {
	return actor{fmt.Sprintf("%s pass", d), func(s steps, _ *meeting) error {
		err := s.Queue.Send(s.ctx) // the moment: a call of no effect
		time.Sleep(d)
		return err
	}}
}
