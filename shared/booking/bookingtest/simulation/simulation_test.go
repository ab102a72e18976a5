package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stayhold/shared/booking/bookingtest"
)

const (
	simulatedUsers = 4
	crowd          = 6 // how many invocations run at once
	defaultSeeds   = 2000
)

// simulation is a world in which many users do what they like on few products, and
// everything that can go wrong does.
type simulation struct {
	*world
	running  []*process
	products []int64
	saved    []bookingtest.Saved // earlier states of the gate
	started  int
	happened map[string]int // kinds of faults, over all seeds
}

// A move is one thing that happens next. Moves are drawn one by one, so that a failure
// is shrunk by leaving moves out.
type move struct {
	weight int
	name   string
	run    func(s *simulation, r *rand.Rand)
}

var moves = []move{
	{40, "start", (*simulation).begin},
	{60, "step", (*simulation).advance},
	{20, "finish", (*simulation).finishOne},
	{8, "time", (*simulation).pass},
	{8, "message", (*simulation).message},
	{2, "gate", (*simulation).hurtGate},
	{2, "clock", func(s *simulation, r *rand.Rand) {
		s.skew = time.Duration(r.IntN(21)-10) * time.Minute
		s.count("clock skew", s.skew != 0)
	}},
}

func (s *simulation) count(what string, happened bool) {
	if happened {
		s.happened[what]++
	}
}

// weighted draws by weight.
func weighted[T any](r *rand.Rand, list []T, weight func(T) int) T {
	total := 0
	for _, x := range list {
		total += weight(x)
	}
	n := r.IntN(total)
	for _, x := range list {
		if n -= weight(x); n < 0 {
			return x
		}
	}
	panic("weights have changed")
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

type likelihood struct {
	weight int
	name   string
	fate   bookingtest.Fate
}

var fates = []likelihood{
	{60, "", bookingtest.Passes},
	{2, "call failed", bookingtest.Fails},
	{3, "reply lost", bookingtest.ReplyLost},
	{1, "crash before a call", bookingtest.DiesBefore},
	{2, "crash after a call", bookingtest.DiesAfter},
}

func (s *simulation) advance(r *rand.Rand) {
	if len(s.running) == 0 {
		s.begin(r)
		return
	}
	p := pick(r, s.running)
	f := weighted(r, fates, func(f likelihood) int { return f.weight })
	s.count(f.name, f.name != "")
	s.count("ended by the timeout", time.Since(p.born) > p.limit)
	if f.fate != bookingtest.Passes {
		s.forgive(p)
	}
	s.step(p, f.fate)
	s.reap()
}

// forgive is called where a complete may not reach the gate in time: its place lapses,
// and one more buyer is admitted, whom the database's guard refuses.
func (s *simulation) forgive(p *process) {
	s.judge.lenient = s.judge.lenient || p.at == "Complete" || p.at == "Confirm"
}

func (s *simulation) finishOne(r *rand.Rand) {
	if len(s.running) == 0 {
		return
	}
	s.finish(pick(r, s.running))
	s.reap()
}

func (s *simulation) reap() {
	s.running = slices.DeleteFunc(s.running, func(p *process) bool { return !p.alive })
}

var spans = []time.Duration{
	10 * time.Millisecond, 10 * time.Millisecond, time.Second, time.Second, time.Second, 5 * time.Second, 5 * time.Second,
	11 * time.Second, 26 * time.Second, 70 * time.Second, 4 * time.Minute, 11 * time.Minute,
}

func (s *simulation) pass(r *rand.Rand) {
	d := pick(r, spans)
	if s.trace != nil {
		s.trace("%s pass", d)
	}
	for _, p := range s.running {
		s.forgive(p)
	}
	time.Sleep(d)
}

// message delivers, repeats, drops or forges one, not always the oldest.
func (s *simulation) message(r *rand.Rand) {
	s.messages = append(s.messages, s.queue.Take()...)
	what := pick(r, []string{"deliver", "deliver", "deliver", "repeat", "drop", "forge"})
	if what == "forge" {
		id := int64(r.IntN(13))
		s.count("message forged", true)
		s.running = append(s.running, s.start(fmt.Sprintf("forged message for booking %d", id), behindTimeout, func(c steps) error { return c.compensate(id) }))
		s.reap()
		return
	}
	if len(s.messages) == 0 {
		return
	}
	i := r.IntN(len(s.messages))
	m := s.messages[i]
	s.count("message reordered", i > 0)
	s.count("message repeated", what == "repeat")
	s.count("message dropped", what == "drop")
	if what != "repeat" {
		s.messages = slices.Delete(s.messages, i, i+1)
	}
	if what != "drop" {
		s.running = append(s.running, s.start(fmt.Sprintf("message for booking %d", m.BookingID), behindTimeout, func(c steps) error { return c.compensate(m.BookingID) }))
		s.reap()
	}
}

func (s *simulation) hurtGate(r *rand.Rand) {
	s.judge.lenient = true
	switch what := pick(r, []string{"save", "save", "flush", "restore"}); {
	case what == "save":
		s.saved = append(s.saved, s.gate.Save())
	case what == "flush":
		s.count("gate flushed", true)
		s.gate.Flush()
	case len(s.saved) > 0:
		s.count("gate brought back", true)
		s.gate.Restore(pick(r, s.saved))
	}
}

// kinds are the faults that the simulation must have seen: it proves nothing about one
// that never happened.
var kinds = []string{
	"call failed", "reply lost", "crash before a call", "crash after a call", "ended by the timeout",
	"message repeated", "message dropped", "message reordered", "message forged",
	"gate flushed", "gate brought back", "clock skew", "admin changes",
	"late charge", "charge without an answer", "cancel refused", "sold", "refunded", "declined",
}

func (s *simulation) tally() {
	for _, c := range s.gateway.Ledger() {
		s.count("late charge", strings.HasPrefix(c.PaymentKey, "late-"))
		s.count("charge without an answer", strings.HasPrefix(c.PaymentKey, "lost-"))
		s.count("cancel refused", strings.HasPrefix(c.PaymentKey, "stuckcancel-") && c.Cancels > 1)
		s.count("refunded", c.Cancelled)
	}
	s.count("sold", len(s.judge.sold) > 0)
	s.count("declined", len(s.judge.declined) > 0)
}

// plan is a world before it begins: its stocks, and one number for each move, from which
// all that the move draws follows. So a move stays what it is when others are left out.
type plan struct {
	stocks [2]int64
	moves  []uint64
}

func planOf(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{stocks: [2]int64{1 + r.Int64N(2), 1 + r.Int64N(3)}, moves: make([]uint64, 80+r.IntN(240))}
	for i := range p.moves {
		p.moves[i] = r.Uint64()
	}
	return p
}

// play runs the plan in a bubble of its own, and returns what was violated.
func (p plan) play(t *testing.T, happened map[string]int, trace func(string, ...any)) (faults []string) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{world: newWorld(t.Context()), happened: happened}
		s.trace = trace
		for _, stock := range p.stocks {
			s.products = append(s.products, s.product(stock, "50000"))
		}
		for user := int64(1); user <= simulatedUsers; user++ {
			s.grant(user, "60000")
		}
		for _, number := range p.moves {
			r := rand.New(rand.NewPCG(number, 0))
			weighted(r, moves, func(m move) int { return m.weight }).run(s, r)
			if faults = s.judge.faults; len(faults) > 0 {
				break
			}
		}
		for _, p := range s.running {
			s.finish(p)
		}
		if len(faults) == 0 {
			s.settle()
			s.tally()
			faults = s.judge.faults
		}
	})
	return faults
}

// shrink leaves out what the violation does not need.
func (p plan) shrink(t *testing.T) plan {
	for size := len(p.moves) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(p.moves); {
			less := plan{p.stocks, slices.Delete(slices.Clone(p.moves), at, at+size)}
			if len(less.play(t, map[string]int{}, nil)) > 0 {
				p = less
			} else {
				at += size
			}
		}
	}
	return p
}

// TestSimulation runs SEEDS worlds, or the one that SEED names. A violation prints its
// seed, and the moves that are left without those that it does not need.
func TestSimulation(t *testing.T) {
	first, seeds := environment(t)
	var mu sync.Mutex
	happened := map[string]int{}
	began, done := time.Now(), 0
	t.Run("seeds", func(t *testing.T) {
		workers := uint64(runtime.GOMAXPROCS(0))
		for worker := range workers {
			t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
				t.Parallel()
				mine := map[string]int{}
				for seed := first + worker; seed < first+seeds && !t.Failed(); seed += workers {
					if len(planOf(seed).play(t, mine, nil)) > 0 {
						violated(t, seed)
					}
					mu.Lock()
					if done++; done%1000 == 0 && testing.Verbose() {
						fmt.Fprintf(os.Stderr, "%d of %d seeds, %d a second\n", done, seeds, int64(done)*1000/time.Since(began).Milliseconds())
					}
					mu.Unlock()
				}
				mu.Lock()
				defer mu.Unlock()
				for what, n := range mine {
					happened[what] += n
				}
			})
		}
	})
	report(t, happened, done)
}

// violated replays the seed with a trace, shrunk.
func violated(t *testing.T, seed uint64) {
	var lines []string
	faults := planOf(seed).shrink(t).play(t, map[string]int{}, func(line string, a ...any) {
		lines = append(lines, fmt.Sprintf(line, a...))
	})
	t.Errorf("seed %d (SEED=%d replays it)\n%s\n%s", seed, seed, strings.Join(lines, "\n"), strings.Join(faults, "\n"))
}

// environment reads how many seeds to run, and from which on.
func environment(t *testing.T) (first, seeds uint64) {
	read := func(name string, otherwise uint64) uint64 {
		value := os.Getenv(name)
		if value == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			t.Fatalf("%s=%q is not a number", name, value)
		}
		return n
	}
	if os.Getenv("SEED") != "" {
		return read("SEED", 0), 1
	}
	return 1, read("SEEDS", defaultSeeds)
}

func report(t *testing.T, happened map[string]int, seeds int) {
	lines := make([]string, 0, len(happened))
	for what, n := range happened {
		lines = append(lines, fmt.Sprintf("%8d %s", n, what))
	}
	sort.Strings(lines)
	t.Logf("%d seeds, no violation; what happened:\n%s", seeds, strings.Join(lines, "\n"))
	for _, kind := range kinds {
		if happened[kind] == 0 && seeds >= 1000 {
			t.Errorf("%q never happened", kind)
		}
	}
}
