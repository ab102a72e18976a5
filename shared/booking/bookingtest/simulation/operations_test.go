package simulation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"stayhold/shared/booking"
)

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
