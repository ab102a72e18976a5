package booking_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
)

// recovery is who notices that an invocation was cut.
type recovery string

const (
	byRetry   recovery = "the repeat"
	byMessage recovery = "the message"
	bySweep   recovery = "the sweep alone"
)

// crash is one run of a scenario in which an invocation is cut and, with a second
// cutter, the recovery's first invocation too.
type crash struct {
	scenario
	which  int // the act that is cut
	first  *cutter
	how    recovery
	second *cutter // nil: the recovery is not cut
}

func (c crash) String() string {
	s := fmt.Sprintf("act %d %v, then %s", c.which+1, c.first, c.how)
	if c.second != nil {
		s += fmt.Sprintf(" %v", c.second)
	}
	return s
}

// buyer is a new buyer at a new product.
func (w *world) buyer(sc scenario) *stay {
	w.t.Helper()
	s := &stay{user: w.nextUser(), product: w.priced(2, sc.set.Sum()), set: sc.set}
	s.key = sc.key + fmt.Sprint(s.user)
	w.grant(s.user, "50000")
	return s
}

// run plays the scenario with its crash, lets the recovery do its work, and lets all
// get quiet. A refusal is an answer, and judged by what stands in the end.
func (w *world) run(c crash, s *stay) {
	w.t.Helper()
	for i, act := range c.acts {
		if i != c.which {
			_ = act(w, s)
			continue
		}
		c.first.answer = act(w.dying(c.first), s)
		if c.how != byRetry {
			break
		}
		w.stage.leasesEnd(s)
		if c.second != nil {
			_ = act(w.dying(c.second), s)
			w.stage.leasesEnd(s)
		}
		_ = act(w, s)
	}
	recover := doCompensate
	if c.how == bySweep {
		w.queue.take()
		w.stage.timePasses(s)
		recover = doSweep
	}
	if c.how != byRetry && c.second != nil {
		_ = recover(w.dying(c.second), s)
		w.stage.leasesEnd(s)
	}
	w.settle(s, c.String())
}

// settle lets messages and sweeps work until a sweep finds nothing to do.
func (w *world) settle(s *stay, when string) {
	w.t.Helper()
	var last booking.SweepReport
	for range 5 {
		w.deliver()
		w.stage.timePasses(s)
		report, err := w.sweepStep().Run(w.t.Context())
		last = report
		if err != nil {
			w.t.Errorf("%s: sweep: %v", when, err)
		}
		if report.Lapsed+report.Sent+report.Settled+report.Reconciled == 0 {
			return
		}
	}
	w.t.Fatalf("%s: user %d is not settled after five sweeps: %+v", when, s.user, last)
}

// trial runs crashes of one scenario in a world of their own, and audits all that
// they left behind in the end, when it knows which booking came from which crash.
type trial struct {
	*world
	when map[int64]crash
}

func (r trial) try(c crash) {
	r.t.Helper()
	s := r.buyer(c.scenario)
	r.run(c, s)
	for _, b := range r.judgeStay(s, c.sold && c.how == byRetry, c.String()) {
		r.when[b.ID] = c
	}
	audit := r.admin()
	audit.Store = gateOnly{r.storePort}
	if breaches, err := audit.Audit(r.t.Context(), s.product); err != nil || len(breaches) > 0 {
		r.t.Errorf("%v: the gate: %v %v", c, breaches, err)
	}
	r.stage.retire(s.product)
}

// gateOnly is a store whose own invariants are audited later, for all at once.
type gateOnly struct{ booking.Store }

func (gateOnly) Breaches(context.Context, int64) ([]booking.Breach, error) { return nil, nil }

func (r trial) audit() {
	r.t.Helper()
	breaches, err := r.storePort.Breaches(r.t.Context(), 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range breaches {
		r.t.Errorf("%s: %s", b.Invariant, b.Detail)
		for _, id := range b.BookingIDs {
			r.t.Errorf("booking %d: %v", id, r.when[id])
		}
	}
}

// calls plays the scenario to its end without a crash, and lists what each act calls.
func (r trial) calls(sc scenario) [][]string {
	r.t.Helper()
	s := r.buyer(sc)
	all := make([][]string, len(sc.acts))
	for i, act := range sc.acts {
		c := &cutter{}
		if err := act(r.dying(c), s); errors.Is(err, booking.ErrInternal) {
			r.t.Errorf("act %d: %v", i+1, err)
		}
		all[i] = c.calls
	}
	r.settle(s, "without a crash")
	r.judgeStay(s, sc.sold, "without a crash")
	r.stage.retire(s.product)
	return all
}

// plan says how much of the square of first and second crashes is run.
type plan struct {
	fates  []bookingtest.Fate // at each boundary
	whole  bool               // every act is cut, not only the last of those in which money has moved
	second bool               // the recovery is cut too, at each of its calls
}

// progress counts what a square has done so far, and tells whoever waits for it.
type progress struct {
	began                 time.Time
	scenarios, done, cuts atomic.Int64
}

// cut counts one invocation that was cut.
func (p *progress) cut() {
	if n := p.cuts.Add(1); n%500 == 0 && testing.Verbose() {
		rate := n * 1000 / max(1, time.Since(p.began).Milliseconds())
		fmt.Fprintf(os.Stderr, "%d of %d scenarios done, %d invocations cut, %d a second\n", p.done.Load(), p.scenarios.Load(), n, rate)
	}
}

// survive runs the crashes of every scenario, each scenario in a world that open makes,
// and returns how many invocations were cut.
func survive(t *testing.T, open func(*testing.T) *world, p plan) int64 {
	sofar := &progress{began: time.Now()}
	seen := map[string]bool{}
	t.Run("scenarios", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(scenarios)) {
			sc := scenarios[name]
			if !p.whole && !sc.moved {
				continue
			}
			again, from := make([]bool, len(sc.acts)), len(sc.acts)-1
			if p.whole {
				from = 0
			}
			for which := from; which < len(sc.acts); which++ {
				story := sc.until(which)
				again[which], seen[story] = seen[story], true
			}
			sofar.scenarios.Add(1)
			t.Run(name, func(t *testing.T) {
				r := trial{open(t), map[int64]crash{}}
				for which, calls := range r.calls(sc) {
					if which < from {
						continue
					}
					recoveries := []recovery{byRetry, byMessage, bySweep}
					if again[which] {
						recoveries = recoveries[:1] // without the repeat, the story ends here as it did before
					}
					for at, call := range calls {
						r.cutAt(crash{scenario: sc, which: which}, at+1, call, recoveries, p, sofar)
					}
				}
				r.audit()
				sofar.done.Add(1)
			})
		}
	})
	return sofar.cuts.Load()
}

// cutAt runs every crash whose first cut is at this call.
func (r trial) cutAt(c crash, at int, call string, recoveries []recovery, p plan, sofar *progress) {
	r.t.Helper()
	for _, fate := range p.fates {
		if leavesNothingNew(fate, at, call) {
			continue
		}
		for _, how := range recoveries {
			// An uncut second counts the calls of the recovery.
			c.how, c.second = how, &cutter{}
			c.first = &cutter{at: at, fate: fate}
			if !p.second {
				c.second = nil
			}
			r.try(c)
			if !c.first.happened() {
				continue
			}
			sofar.cut()
			if !p.second || c.first.gaveUp() {
				continue
			}
			for again, call := range c.second.calls {
				if onlyReads(call) {
					continue
				}
				c.first, c.second = &cutter{at: at, fate: fate}, &cutter{at: again + 1, fate: bookingtest.DiesAfter}
				r.try(c)
				if c.second.happened() {
					sofar.cut()
				}
			}
		}
	}
}

// leavesNothingNew says that a cut leaves what another one of the same square leaves: to
// die before a call is to die after the one before it, a call that only reads changes
// nothing, and without its reply it has failed.
func leavesNothingNew(fate bookingtest.Fate, at int, call string) bool {
	switch fate {
	case bookingtest.DiesBefore:
		return at > 1
	case bookingtest.DiesAfter:
		return at > 1 && onlyReads(call)
	case bookingtest.Fails:
		return onlyReads(call)
	default:
		return false
	}
}

// onlyReads says that a call changes nothing: who dies of it leaves what stood before.
func onlyReads(call string) bool {
	return slices.Contains([]string{
		"Dead", "Unsent", "ProductFacts", "GatePlaces", "OpenPlaces", "OnSale", "LapsedBookings", "DueApprovals", "DueRefunds",
		"Occupancies", "Places", "PlacesOf", "gateway Lookup",
	}, call)
}

// How many invocations were cut when they were last counted. Fewer means that a
// boundary, or a scenario, has gone missing.
const (
	recordedFirst  = 3974
	recordedSecond = 1880
	recordedSquare = 17_933
)

// onServers is a world that waits for no gateway which will not answer.
func onServers(t *testing.T) *world {
	w := newWorld(t)
	w.timeout = 5 * time.Second
	w.openGateway(50 * time.Millisecond)
	w.gateway = impatient{w.gateway, w.simulator}
	return w
}

// impatient gives a charge up as soon as a gateway that is not going to answer has it:
// what a time limit does, without the time.
type impatient struct {
	booking.Gateway
	simulator *paymentgatewaytest.Simulator
}

func (g impatient) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	prefix, _, _ := strings.Cut(c.PaymentKey, "-")
	if !slices.Contains([]string{"timeout", "lost", "late"}, prefix) {
		return g.Gateway.Confirm(ctx, c)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := g.simulator.Confirms(c.OrderID)
	go func() {
		for ctx.Err() == nil && g.simulator.Confirms(c.OrderID) == before {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return g.Gateway.Confirm(ctx, c)
}

// TestCrashAtEveryBoundary cuts every act of every scenario at each of its calls, with
// each recovery.
func TestCrashAtEveryBoundary(t *testing.T) {
	n := survive(t, onServers, plan{fates: []bookingtest.Fate{bookingtest.DiesBefore, bookingtest.DiesAfter, bookingtest.ReplyLost}, whole: true})
	t.Logf("%d invocations cut", n)
	if !t.Failed() && n < recordedFirst {
		t.Errorf("%d invocations were cut, %d are recorded", n, recordedFirst)
	}
}

// TestCrashInsideTheRecovery cuts the last act of what money has moved in, and then the
// recovery at each of its calls.
func TestCrashInsideTheRecovery(t *testing.T) {
	n := survive(t, onServers, plan{fates: []bookingtest.Fate{bookingtest.DiesAfter}, second: true})
	t.Logf("%d invocations cut", n)
	if !t.Failed() && n < recordedSecond {
		t.Errorf("%d invocations were cut, %d are recorded", n, recordedSecond)
	}
}

// TestCrashSquare cuts every act of every scenario at each of its calls, with each fate,
// and each of the recoveries at each of its calls that change anything. Left out is a
// recovery from what another crash of the same square has left already. It takes long, so
// it runs where it is asked for; CRASHES=1 go test -run 'TestCrashSquare/scenarios/card$'
// is one scenario.
func TestCrashSquare(t *testing.T) {
	if os.Getenv("CRASHES") == "" {
		t.Skip("long: `make crashes` runs it")
	}
	fates := []bookingtest.Fate{bookingtest.DiesBefore, bookingtest.DiesAfter, bookingtest.ReplyLost, bookingtest.Fails}
	n := survive(t, onServers, plan{fates: fates, whole: true, second: true})
	t.Logf("%d invocations cut", n)
	if !t.Failed() && n < recordedSquare {
		t.Errorf("%d invocations were cut, %d are recorded", n, recordedSquare)
	}
}

var users atomic.Int64

func (w *world) nextUser() int64 { return 1000 + users.Add(1) }
