package simulation_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// The durations of a deployment that nobody has configured.
const (
	holdTTL        = 300 * time.Second
	paymentWindow  = 120 * time.Second
	gatewayTimeout = 10 * time.Second
	gatewaySession = 10 * time.Minute
	sweepGrace     = 30 * time.Second
	// An invocation that lives longer than its function's timeout is ended from outside.
	apiTimeout    = 29 * time.Second
	behindTimeout = 60 * time.Second
)

// world is the whole sale on the fakes, in a bubble of testing/synctest: time passes
// only when the world lets it. Nothing but port calls changes it, and each of them is
// atomic; so whoever decides which process makes the next call decides everything.
type world struct {
	ctx      context.Context
	db       *bookingtest.Database
	gate     *bookingtest.Gate
	gateway  *bookingtest.Gateway
	queue    *bookingtest.Queue
	sent     map[string]bool             // orders of which a confirm has reached the gateway
	messages []booking.Message           // taken from the queue, not delivered yet
	skew     time.Duration               // of the clock of the processes
	judge    judge                       // what was seen so far
	trace    func(line string, a ...any) // nil: nobody reads it
}

func newWorld(ctx context.Context) *world {
	return &world{
		ctx: ctx, db: bookingtest.NewDatabase(time.Now), gate: bookingtest.NewGate(time.Now),
		gateway: bookingtest.NewGateway(time.Now), queue: bookingtest.NewQueue(),
		sent: map[string]bool{}, judge: newJudge(),
	}
}

func (w *world) ports() bookingtest.Ports {
	return bookingtest.Ports{Store: w.db, Gate: w.gate, Gateway: hasty{w.gateway, w}, Queue: w.queue}
}

// hasty is a gateway that declines the repeat of a charge which it is still working on:
// the first one takes the money all the same.
type hasty struct {
	*bookingtest.Gateway
	w *world
}

func (g hasty) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	if strings.HasPrefix(c.PaymentKey, "late-") && g.w.sent[c.OrderID] && g.Lookup(ctx, c).Verdict == booking.VerdictNotFound {
		return booking.Answer{Verdict: booking.VerdictDeclined, DeclineCode: "ALREADY_BEING_PROCESSED"}
	}
	g.w.sent[c.OrderID] = true
	return g.Gateway.Confirm(ctx, c)
}

// steps are the steps as one invocation has them.
type steps struct {
	bookingtest.Ports
	ctx context.Context
	w   *world
}

// Now is the clock of the invocation's machine, which may be wrong.
func (s steps) Now() time.Time { return time.Now().Add(s.w.skew) }

func (w *world) plain() steps { return steps{w.ports(), w.ctx, w} }

func (s steps) reserve(user, product int64, key *booking.IdempotencyKey) (booking.Result, error) {
	return booking.Reserve{Store: s.Store, Gate: s.Gate, HoldTTL: holdTTL, MaxOpenHolds: 5}.
		Run(s.ctx, booking.ReserveCommand{UserID: user, ProductID: product, Key: key})
}

func (s steps) register(user, id int64, set booking.Set) (booking.Result, error) {
	return booking.Register{Store: s.Store}.Run(s.ctx, booking.Registration{UserID: user, BookingID: id, Set: set})
}

func (s steps) approve(user, id int64, paymentKey string) (booking.Result, error) {
	return booking.Approve{Store: s.Store, Gate: s.Gate, Gateway: s.Gateway, Queue: s.Queue, Clock: s,
		HoldTTL: holdTTL, Window: paymentWindow, GatewayTimeout: gatewayTimeout}.
		Run(s.ctx, booking.ApproveCommand{UserID: user, BookingID: id, PaymentKey: paymentKey})
}

func (s steps) complete(user, id int64) (booking.Result, error) {
	return booking.Complete{Store: s.Store, Gate: s.Gate, Queue: s.Queue, Window: paymentWindow}.
		Run(s.ctx, booking.CompleteCommand{UserID: user, BookingID: id})
}

func (s steps) canceller() booking.Cancel {
	return booking.Cancel{Store: s.Store, Gate: s.Gate, Queue: s.Queue}
}

func (s steps) cancel(user, id int64) (booking.Result, error) {
	return s.canceller().Run(s.ctx, booking.Cancellation{UserID: user, BookingID: id, Reason: "asked"})
}

func (s steps) compensator() booking.Compensate {
	return booking.Compensate{Store: s.Store, Gate: s.Gate, Gateway: s.Gateway, GatewayTimeout: gatewayTimeout, GatewaySession: gatewaySession}
}

func (s steps) compensate(id int64) error {
	return s.compensator().Run(s.ctx, booking.Message{Task: booking.TaskCompensate, BookingID: id})
}

func (s steps) reconciler() booking.Reconcile { return booking.Reconcile{Store: s.Store, Gate: s.Gate} }

func (s steps) sweep() error {
	_, err := booking.Sweep{Compensate: s.compensator(), Queue: s.Queue, Reconcile: s.reconciler(), Grace: sweepGrace, Batch: 100}.Run(s.ctx)
	return err
}

func (s steps) admin() booking.Admin {
	return booking.Admin{Store: s.Store, Gate: s.Gate, Cancel: s.canceller(), Compensate: s.compensator(), Reconciler: s.reconciler(),
		Ledger: s.w.gateway, StrayLimit: booking.StrayLimit(holdTTL, paymentWindow, sweepGrace)}
}

// process is one invocation, which stands before its next port call.
type process struct {
	name  string
	at    string // the call that it will make next
	alive bool   // it has not ended, and has not died
	naps  int    // how often it has waited for another one's warming
	limit time.Duration
	born  time.Time
	fate  bookingtest.Fate
	next  func() (string, bool)
	stop  func()
	err   error // what it answered
}

// start brings a process to its first port call. It runs as a coroutine: whatever it
// does between two calls happens when the first of them is let through.
func (w *world) start(name string, limit time.Duration, run func(s steps) error) *process {
	p := &process{name: name, born: time.Now(), limit: limit}
	p.next, p.stop = iter.Pull(func(yield func(string) bool) {
		p.err = run(steps{w.ports().Between(func(ctx context.Context, call string) bookingtest.Fate {
			switch {
			case !yield(call):
				return bookingtest.DiesBefore
			case ctx.Err() != nil && p.fate == bookingtest.Passes:
				return bookingtest.Fails
			default:
				return p.fate
			}
		}), w.ctx, w})
	})
	p.at, p.alive = p.next()
	return p
}

// step lets the process make its next call, with that fate.
func (w *world) step(p *process, fate bookingtest.Fate) {
	if time.Since(p.born) > p.limit {
		fate = bookingtest.DiesBefore
	}
	if w.trace != nil {
		w.trace("%s: %s %s", p.name, fate, p.at)
	}
	last := p.at
	p.fate = fate
	p.at, p.alive = p.next()
	if last == "Occupancies" && p.at == "MarkWarm" {
		p.naps++
	}
	if !p.alive && w.trace != nil {
		w.trace("%s: ended: %v", p.name, p.err)
	}
	if moving[last] {
		w.judge.always(w)
	}
}

// moving are the calls after which the rows or the ledger may say something else.
var moving = map[string]bool{
	"Open": true, "Register": true, "Complete": true, "Surrender": true, "Cancel": true, "Lapse": true,
	"BeginApproval": true, "EndApproval": true, "EndRefund": true, "PutProduct": true, "AdjustStock": true,
	"GrantPoints": true, "gateway Confirm": true, "gateway Cancel": true,
}

// finish lets the process run to its end.
func (w *world) finish(p *process) {
	for p.alive {
		w.step(p, bookingtest.Passes)
	}
}

// product puts a product on sale.
func (w *world) product(stock int64, price string) int64 {
	now := time.Now()
	id, err := w.plain().admin().PutProduct(w.ctx, booking.ProductDraft{
		Name: "Sea view", Price: amount(price), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.Add(30 * 24 * time.Hour), CheckOutAt: now.Add(31 * 24 * time.Hour),
	})
	if err != nil {
		panic(err)
	}
	return id
}

func (w *world) grant(user int64, points string) {
	if _, err := w.plain().admin().GrantPoints(w.ctx, user, amount(points), "test"); err != nil {
		panic(err)
	}
}

// deliver hands every message over that the queue has.
func (w *world) deliver() {
	w.messages = append(w.messages, w.queue.Take()...)
	for _, m := range w.messages {
		if err := w.plain().compensate(m.BookingID); err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
			w.judge.fault("compensate %v: %v", m, err)
		}
	}
	w.messages = nil
}

// quietRounds bounds how long a world takes to come to rest: each round lets more time
// pass than the longest back-off.
const quietRounds = 30

// settle lets everything come to rest: the gateway answers, messages arrive, holds,
// leases and sessions end, and the sweep runs.
func (w *world) settle() {
	w.skew = 0
	w.gateway.Heal()
	for range quietRounds {
		w.deliver()
		time.Sleep(6 * time.Minute)
		if err := w.plain().sweep(); err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
			w.judge.fault("sweep: %v", err)
		}
		if !w.busy() {
			break
		}
	}
	for range 2 { // a wrongly confirmed place is emptied by one run and filled by the next
		if err := w.plain().sweep(); err != nil {
			w.judge.fault("sweep: %v", err)
		}
	}
	w.judge.always(w)
	w.judge.quiet(w)
}

// busy says whether somebody still has to act.
func (w *world) busy() bool {
	w.messages = append(w.messages, w.queue.Take()...)
	if len(w.messages) > 0 {
		return true
	}
	rows := w.db.Rows()
	for _, b := range rows.Bookings {
		if b.Status.Live() {
			return true
		}
	}
	for _, a := range rows.Attempts {
		if waiting(a) {
			return true
		}
	}
	for _, o := range rows.Outbox {
		if o.SentAt.IsZero() {
			return true
		}
	}
	return false
}

func waiting(a bookingtest.AttemptRow) bool {
	switch a.State {
	case bookingtest.AttemptRequested, bookingtest.AttemptUnknown, bookingtest.AttemptPending:
		return true
	default:
		return false
	}
}

func amount(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// set is a payment set by gateway, by points, or by both (points first).
func set(points, charged string, m booking.Method) booking.Set {
	var s booking.Set
	if points != "" {
		s = append(s, booking.Part{Method: booking.Point, Amount: amount(points)})
	}
	if charged != "" {
		s = append(s, booking.Part{Method: m, Amount: amount(charged)})
	}
	return s
}

// second is the error of a call whose value nobody needs.
func second[T any](_ T, err error) error { return err }
