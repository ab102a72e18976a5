package simulation_test

import (
	"errors"
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

	"stayhold/shared/booking"
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

// operation is what an invocation may be: what is drawn for it, and what it then does.
type operation struct {
	weight int
	name   string
	limit  time.Duration
	run    func(s *simulation, r *rand.Rand, user, product int64) func(steps) error
}

var operations = []operation{
	{20, "reserve", apiTimeout, (*simulation).reserving},
	{14, "register", apiTimeout, (*simulation).registering},
	{16, "approve", apiTimeout, (*simulation).approving},
	{16, "complete", apiTimeout, (*simulation).completing},
	{6, "cancel", apiTimeout, (*simulation).cancelling},
	{5, "sweep", behindTimeout, func(*simulation, *rand.Rand, int64, int64) func(steps) error {
		return func(c steps) error { return c.sweep() }
	}},
	{3, "reconcile", behindTimeout, func(_ *simulation, _ *rand.Rand, _, product int64) func(steps) error {
		return func(c steps) error { return second(c.reconciler().Run(c.ctx, product)) }
	}},
	{3, "adjust stock", apiTimeout, func(s *simulation, r *rand.Rand, _, product int64) func(steps) error {
		delta := pick(r, []int64{-1, 1})
		s.count("admin changes", true)
		s.judge.lenient = s.judge.lenient || delta < 0
		return func(c steps) error { return second(c.admin().AdjustStock(c.ctx, product, delta, "test")) }
	}},
	{3, "grant points", apiTimeout, func(_ *simulation, r *rand.Rand, user, _ int64) func(steps) error {
		points := pick(r, []string{"30000", "-30000"})
		return func(c steps) error { return second(c.admin().GrantPoints(c.ctx, user, amount(points), "test")) }
	}},
	{1, "cancel by an administrator", apiTimeout, func(s *simulation, _ *rand.Rand, user, product int64) func(steps) error {
		id := s.latest(user, product)
		return func(c steps) error { return second(c.admin().CancelBooking(c.ctx, id, "a burst pipe")) }
	}},
	{1, "redrive", apiTimeout, func(s *simulation, _ *rand.Rand, user, product int64) func(steps) error {
		id := s.latest(user, product)
		return func(c steps) error { return second(c.admin().Redrive(c.ctx, id)) }
	}},
}

func (s *simulation) begin(r *rand.Rand) {
	if len(s.running) >= crowd {
		return
	}
	user := 1 + r.Int64N(simulatedUsers)
	product := pick(r, s.products)
	op := weighted(r, operations, func(o operation) int { return o.weight })
	if r.IntN(3) > 0 {
		op = s.sensible(user, product)
	}
	run := op.run(s, r, user, product)
	s.running = append(s.running, s.start(fmt.Sprintf("%s of user %d, product %d (%d)", op.name, user, product, s.started), op.limit, run))
	s.started++
}

// sensible is what a buyer would do next.
func (s *simulation) sensible(user, product int64) operation {
	next := "reserve"
	if b, err := s.db.Booking(s.ctx, user, s.latest(user, product)); err == nil && !b.Status.Dead() {
		actions := b.NextActions()
		for _, a := range []struct {
			action booking.Action
			name   string
		}{{booking.ActionComplete, "complete"}, {booking.ActionApprove, "approve"}, {booking.ActionRegister, "register"}} {
			if slices.Contains(actions, a.action) && (a.action != booking.ActionRegister || len(b.Payments) == 0 || next == "reserve") {
				next = a.name
				break
			}
		}
	}
	return operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == next })]
}

// latest is the booking of the product that its user knows of: his last one.
func (s *simulation) latest(user, product int64) int64 {
	list, _ := s.db.BookingsOf(s.ctx, user, "", booking.Page{Limit: 20})
	for _, b := range list {
		if b.ProductID == product {
			return b.ID
		}
	}
	return 1 // somebody else's, or nobody's
}

// once answers a request under its Idempotency-Key as the edge does.
func once(c steps, key *booking.IdempotencyKey, run func() (booking.Result, error)) error {
	if key == nil {
		return second(run())
	}
	if r, err := c.Store.Recall(c.ctx, *key); err != nil || r != nil {
		return err
	}
	err := second(run())
	if errors.Is(err, booking.ErrKeyTaken) {
		return second(c.Store.Recall(c.ctx, *key))
	}
	return err
}

// key is none, a new one, or one that was used before.
func (s *simulation) key(r *rand.Rand, user int64, scope string) *booking.IdempotencyKey {
	n := r.IntN(6)
	if n > 2 {
		return nil
	}
	return &booking.IdempotencyKey{UserID: user, Scope: scope, Key: fmt.Sprint("k", n), Fingerprint: scope, RequestID: "r"}
}

func (s *simulation) reserving(r *rand.Rand, user, product int64) func(steps) error {
	key := s.key(r, user, fmt.Sprint("reserve ", product))
	return func(c steps) error {
		return once(c, key, func() (booking.Result, error) { return c.reserve(user, product, key) })
	}
}

var sets = []booking.Set{
	set("", "50000", booking.Card), set("", "50000", booking.YPay), set("50000", "", ""),
	set("20000", "30000", booking.Card), set("20000", "30000", booking.YPay),
}

func (s *simulation) registering(r *rand.Rand, user, product int64) func(steps) error {
	chosen := pick(r, sets)
	id := s.latest(user, product)
	return func(c steps) error { return second(c.register(user, id, chosen)) }
}

var keyPrefixes = []string{"ok-", "ok-", "ok-", "decline-", "lost-", "lost-", "flaky-", "timeout-", "late-", "mismatch-", "stuckcancel-", "slowcancel-2-"}

func (s *simulation) approving(r *rand.Rand, user, product int64) func(steps) error {
	id := s.latest(user, product)
	// One page shows one payment, and sends the same key at each click.
	key := fmt.Sprintf("%s%d", keyPrefixes[s.payments(id)*5%len(keyPrefixes)], s.payments(id))
	return func(c steps) error { return c.approveAndTell(user, id, key) }
}

// payments is how many payments there were when the booking's last one was made.
func (s *simulation) payments(id int64) int {
	last := 0
	for i, p := range s.db.Rows().Payments {
		if p.BookingID == id {
			last = i
		}
	}
	return last
}

func (s *simulation) completing(_ *rand.Rand, user, product int64) func(steps) error {
	id := s.latest(user, product)
	return func(c steps) error {
		r, err := c.complete(user, id)
		if err == nil {
			s.judge.sold[r.Booking.ID] = true
		}
		return err
	}
}

func (s *simulation) cancelling(_ *rand.Rand, user, product int64) func(steps) error {
	id := s.latest(user, product)
	return func(c steps) error { return second(c.cancel(user, id)) }
}

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
