package simulation_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// What happened before the processes meet: each goes on where the one before ended.

func held(w *world, m *meeting) {
	m.product, m.second = w.product(1, "50000"), w.product(1, "50000")
	w.grant(m.user, "50000")
	r, err := w.plain().reserve(m.user, m.product, nil)
	must(err)
	m.booking = r.Booking.ID
}

func registered(w *world, m *meeting) {
	held(w, m)
	_, err := w.plain().register(m.user, m.booking, set("20000", "30000", booking.Card))
	must(err)
}

// charging stands before a charge that behaves as its payment key says.
func charging(prefix string) func(w *world, m *meeting) {
	return func(w *world, m *meeting) {
		registered(w, m)
		m.key = prefix + "1"
	}
}

// charged stands after an approve that was answered as the payment key says.
func charged(prefix string) func(w *world, m *meeting) {
	return func(w *world, m *meeting) {
		charging(prefix)(w, m)
		_, _ = w.plain().approve(m.user, m.booking, m.key) // the answer is the payment key's
		w.messages = w.queue.Take()
	}
}

func paid(w *world, m *meeting) { charged("ok-")(w, m) }

func paidByPoints(w *world, m *meeting) {
	held(w, m)
	_, err := w.plain().register(m.user, m.booking, set("50000", "", ""))
	must(err)
}

func sold(w *world, m *meeting) {
	paid(w, m)
	_, err := w.plain().complete(m.user, m.booking)
	must(err)
}

// lapsed lets a hold end after what came before, so long ago that the sweep takes it.
func lapsed(before func(w *world, m *meeting)) func(w *world, m *meeting) {
	return func(w *world, m *meeting) {
		before(w, m)
		time.Sleep(holdTTL + paymentWindow + sweepGrace + time.Minute)
	}
}

// nearlyOver is a charge that never reached the gateway, three seconds before its
// session is over; the hold has lapsed long ago.
func nearlyOver(w *world, m *meeting) {
	charging("late-")(w, m)
	p := w.start("approve", apiTimeout, func(s steps) error { return second(s.approve(m.user, m.booking, m.key)) })
	for p.at != "gateway Confirm" {
		w.step(p, bookingtest.Passes)
	}
	w.step(p, bookingtest.Fails)
	w.finish(p)
	w.messages = w.queue.Take()
	time.Sleep(2*(gatewayTimeout+2*time.Second) + gatewaySession - 3*time.Second)
}

// endedPaid is fenced with money to give back.
func endedPaid(w *world, m *meeting) {
	paid(w, m)
	_, err := w.plain().cancel(m.user, m.booking)
	must(err)
	w.messages = w.queue.Take()
}

// cold is a gate that has lost everything.
func cold(before func(w *world, m *meeting)) func(w *world, m *meeting) {
	return func(w *world, m *meeting) {
		before(w, m)
		w.gate.Flush()
	}
}

// soldUnknown to the gate: complete died before it could say so.
func soldUnseen(w *world, m *meeting) {
	w.judge.lenient = true
	paid(w, m)
	_, err := w.db.Complete(w.ctx, booking.Completion{UserID: m.user, BookingID: m.booking, MinLeft: time.Second})
	must(err)
}

// bothPaid are two users' bookings of one product whose stock then fell to one.
func bothPaid(w *world, m *meeting) {
	m.product = w.product(2, "50000")
	for _, user := range []int64{m.user, m.other} {
		w.grant(user, "50000")
		r, err := w.plain().reserve(user, m.product, nil)
		must(err)
		_, err = w.plain().register(user, r.Booking.ID, set("50000", "", ""))
		must(err)
		m.booking, m.otherBooking = m.otherBooking, r.Booking.ID
	}
	w.judge.lenient = true
	_, err := w.plain().admin().AdjustStock(w.ctx, m.product, -1, "a flood")
	must(err)
}

// pointsTwice are two bookings of one user, who has points for one.
func pointsTwice(w *world, m *meeting) {
	paidByPoints(w, m)
	r, err := w.plain().reserve(m.user, m.second, nil)
	must(err)
	m.otherBooking = r.Booking.ID
	_, err = w.plain().register(m.user, m.otherBooking, set("50000", "", ""))
	must(err)
}

// onSale is a unit that somebody had and gave back: its gate is warm.
func onSale(w *world, m *meeting) {
	m.product = w.product(1, "50000")
	r, err := w.plain().reserve(9, m.product, nil)
	must(err)
	must(second(w.plain().cancel(9, r.Booking.ID)))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The processes. What they answer is judged by what stands in the end, and by what
// H1 promises.

func completing(s steps, m *meeting) error {
	r, err := s.complete(m.user, m.booking)
	if err == nil {
		s.w.judge.sold[r.Booking.ID] = true
	}
	return err
}

func completingOther(user func(m *meeting) int64) func(s steps, m *meeting) error {
	return func(s steps, m *meeting) error { return second(s.complete(user(m), m.otherBooking)) }
}

func approving(s steps, m *meeting) error { return s.approveAndTell(m.user, m.booking, m.key) }

// approveAndTell remembers a decline that the buyer was told of.
func (s steps) approveAndTell(user, id int64, key string) error {
	r, err := s.approve(user, id, key)
	if errors.Is(err, booking.ErrPaymentDeclined) {
		for _, p := range r.Booking.Payments {
			if p.Approval == booking.ApprovalDeclined {
				s.w.judge.declined[p.OrderID] = true
			}
		}
	}
	return err
}

func cancelling(s steps, m *meeting) error   { return second(s.cancel(m.user, m.booking)) }
func compensating(s steps, m *meeting) error { return s.compensate(m.booking) }
func reconciling(s steps, m *meeting) error  { return second(s.reconciler().Run(s.ctx, m.product)) }
func reserving(s steps, m *meeting) error    { return second(s.reserve(m.user, m.product, nil)) }
func otherReserve(s steps, m *meeting) error { return second(s.reserve(m.other, m.product, nil)) }
func loweringStock(s steps, m *meeting) error {
	s.w.judge.lenient = true
	return second(s.admin().AdjustStock(s.ctx, m.product, -1, "test"))
}
func raisingStock(s steps, m *meeting) error {
	return second(s.admin().AdjustStock(s.ctx, m.product, 1, "test"))
}
func takingPoints(s steps, m *meeting) error {
	return second(s.admin().GrantPoints(s.ctx, m.user, amount("-40000"), "test"))
}
func redriving(s steps, m *meeting) error { return second(s.admin().Redrive(s.ctx, m.booking)) }
func registering(s steps, m *meeting) error {
	return second(s.register(m.user, m.booking, set("", "50000", booking.YPay)))
}
func registeringPoints(s steps, m *meeting) error {
	return second(s.register(m.user, m.booking, set("50000", "", "")))
}

// focused is a sweep that finds work of one kind only: the calls that would list the
// others answer at once that there is none, and are no boundary.
type focused struct {
	booking.Store
	kind string
}

// listed is a sweep's store that knows the lapsed bookings without a call.
type listed struct {
	focused
	w *world
}

func (l listed) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	return l.w.db.LapsedBookings(ctx, grace, limit)
}

func lapsing(s steps, _ *meeting) error {
	s.Store = listed{focused{s.Store, "lapse"}, s.w}
	return s.sweep()
}

func (f focused) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	if f.kind != "lapse" {
		return nil, nil
	}
	return f.Store.LapsedBookings(ctx, grace, limit)
}

func (f focused) Unsent(ctx context.Context, age time.Duration, limit int) ([]booking.Outgoing, error) {
	if f.kind != "forward" {
		return nil, nil
	}
	return f.Store.Unsent(ctx, age, limit)
}

func (f focused) DueApprovals(ctx context.Context, limit int) ([]int64, error) {
	if f.kind != "resolve" {
		return nil, nil
	}
	return f.Store.DueApprovals(ctx, limit)
}

func (f focused) DueRefunds(ctx context.Context, limit int) ([]int64, error) {
	if f.kind != "refund" {
		return nil, nil
	}
	return f.Store.DueRefunds(ctx, limit)
}

func (f focused) OnSale(context.Context, int64, int) ([]int64, error) { return nil, nil }
func (f focused) Purge(context.Context, int) (int64, error)           { return 0, nil }

// factless is a reconcile whose calls about the product's facts, which no user's place
// depends on, are no boundaries.
type factless struct {
	booking.Gate
	w *world
}

func (g factless) Occupancies(ctx context.Context, ids ...int64) ([]booking.Occupancy, error) {
	return g.w.gate.Occupancies(ctx, ids...)
}

func (g factless) PutFacts(ctx context.Context, f booking.Facts) (bool, error) {
	return g.w.gate.PutFacts(ctx, f)
}

type factlessStore struct {
	booking.Store
	w *world
}

func (d factlessStore) ProductFacts(ctx context.Context, id int64) (booking.Facts, error) {
	return d.w.db.ProductFacts(ctx, id)
}

func reconcilingPlaces(s steps, m *meeting) error {
	s.Store, s.Gate = factlessStore{s.Store, s.w}, factless{s.Gate, s.w}
	return reconciling(s, m)
}

func sweeping(kind string) func(s steps, m *meeting) error {
	return func(s steps, _ *meeting) error {
		s.Store = focused{s.Store, kind}
		return s.sweep()
	}
}

var (
	complete   = actor{"complete", completing}
	approve    = actor{"approve", approving}
	cancel     = actor{"cancel", cancelling}
	compensate = actor{"compensate", compensating}
	reconcile  = actor{"reconcile", reconciling}
	places     = actor{"reconcile of places", reconcilingPlaces}
	register   = actor{"register", registering}
	toPoints   = actor{"register points", registeringPoints}
	reserve    = actor{"reserve", reserving}
	rival      = actor{"another user's reserve", otherReserve}
	lower      = actor{"lower stock", loweringStock}
	raise      = actor{"raise stock", raisingStock}
	spend      = actor{"spend points", takingPoints}
	redrive    = actor{"redrive", redriving}
	sweepLapse = actor{"sweep of holds", sweeping("lapse")}
	lapse      = actor{"end of a lapsed hold", lapsing}
	sweepMoney = actor{"sweep of refunds", sweeping("refund")}
	sweepAsk   = actor{"sweep of approvals", sweeping("resolve")}
	sweepSend  = actor{"sweep of messages", sweeping("forward")}
	otherUser  = actor{"another user's complete", completingOther(func(m *meeting) int64 { return m.other })}
	otherOwn   = actor{"complete of another booking", completingOther(func(m *meeting) int64 { return m.user })}
)

// encounters are the pairs that can meet on one booking, one unit or one user's
// points, and the triples that the pairs make one fear.
func encounters() []encounter {
	list := []encounter{
		{"a paid booking", paid, []actor{complete, complete}},
		{"a paid booking", paid, []actor{complete, cancel}},
		{"a paid booking", paid, []actor{complete, compensate}},
		{"a paid booking", paid, []actor{complete, register}},
		{"a paid booking", paid, []actor{complete, toPoints}},
		{"a paid booking", paid, []actor{complete, approve}},
		{"a paid booking", paid, []actor{complete, reconcile}},
		{"a paid booking", paid, []actor{complete, spend}},
		{"a paid booking", paid, []actor{complete, lower}},
		{"a paid booking", paid, []actor{complete, raise}},
		{"a paid booking", paid, []actor{complete, rival}},
		{"a paid booking", paid, []actor{cancel, cancel}},
		{"a paid booking", paid, []actor{cancel, register}},
		{"a paid booking", paid, []actor{cancel, reconcile}},
		{"a paid booking", paid, []actor{cancel, reserve}},
		{"a paid booking", paid, []actor{cancel, rival}},
		{"a paid booking", paid, []actor{complete, cancel, compensate}},
		{"a booking paid by points", paidByPoints, []actor{complete, register}},
		{"a booking paid by points", paidByPoints, []actor{complete, cancel, reserve}},
		{"a lapsed paid booking", lapsed(paid), []actor{complete, sweepLapse}},
		{"a lapsed paid booking", lapsed(paid), []actor{complete, rival}},
		{"a lapsed paid booking", lapsed(paid), []actor{complete, complete}},
		{"a lapsed paid booking", lapsed(paid), []actor{cancel, sweepLapse}},
		{"a lapsed paid booking", lapsed(paid), []actor{reserve, sweepLapse}},
		{"a lapsed paid booking", lapsed(paid), []actor{complete, reserve}},
		{"a lapsed paid booking", lapsed(paid), []actor{complete, lapse, rival}},
		{"a lapsed hold", lapsed(registered), []actor{reserve, reserve}},
		{"a lapsed hold", lapsed(registered), []actor{reserve, sweepLapse}},
		{"a lapsed hold", lapsed(charging("ok-")), []actor{approve, sweepLapse}},
		{"a lapsed hold", lapsed(charging("ok-")), []actor{approve, reserve}},
		{"a lapsed hold", lapsed(charging("ok-")), []actor{approve, rival}},
		{"a lapsed hold", lapsed(registered), []actor{sweepLapse, sweepLapse}},
		{"a lapsed hold", lapsed(registered), []actor{register, sweepLapse}},
		{"a held unit", held, []actor{reserve, reserve}},
		{"a held unit", held, []actor{register, cancel}},
		{"a held unit", held, []actor{register, toPoints}},
		{"a held unit", held, []actor{cancel, reserve}},
		{"a held unit", held, []actor{cancel, rival, places}},
		{"a sold unit", sold, []actor{cancel, cancel}},
		{"a sold unit", sold, []actor{cancel, complete}},
		{"a sold unit", sold, []actor{cancel, rival}},
		{"a sold unit", sold, []actor{cancel, reconcile}},
		{"a sold unit", sold, []actor{cancel, compensate}},
		{"a sale that the gate has not seen", soldUnseen, []actor{reserve, complete}},
		{"a sale that the gate has not seen", lapsed(soldUnseen), []actor{reconcile, rival}},
		{"a sale that the gate has not seen", lapsed(soldUnseen), []actor{reconcile, cancel}},
		{"a sale that the gate has not seen", lapsed(soldUnseen), []actor{places, cancel, rival}},
		{"a sale that the gate has not seen", lapsed(soldUnseen), []actor{complete, reconcile}},
		{"a charge whose session is nearly over", nearlyOver, []actor{approve, passing(4 * time.Second), compensate}},
		{"an ended paid booking", endedPaid, []actor{compensate, compensate}},
		{"an ended paid booking", endedPaid, []actor{compensate, sweepMoney}},
		{"an ended paid booking", endedPaid, []actor{compensate, reserve}},
		{"an ended paid booking", endedPaid, []actor{compensate, redrive}},
		{"an ended paid booking", endedPaid, []actor{compensate, sweepSend}},
		{"the last unit", onSale, []actor{reserve, rival}},
		{"the last unit", onSale, []actor{reserve, reserve}},
		{"the last unit", onSale, []actor{reserve, reserve, rival}},
		{"the last unit", onSale, []actor{reserve, lower}},
		{"a cold gate", cold(onSale), []actor{reserve, rival}},
		{"a cold gate", cold(onSale), []actor{reserve, lower}},
		{"a cold gate", cold(held), []actor{cancel, rival}},
		{"a cold gate", cold(held), []actor{cancel, reserve}},
		{"a cold gate", cold(paid), []actor{complete, rival}},
		{"a cold gate", cold(paid), []actor{complete, reconcile}},
		{"a cold gate", cold(charging("ok-")), []actor{approve, rival}},
		{"a cold gate", cold(sold), []actor{cancel, rival}},
		{"a cold gate", cold(lapsed(registered)), []actor{sweepLapse, rival}},
		{"a cold gate", cold(lapsed(paid)), []actor{complete, rival}},
		{"two bookings for one unit", bothPaid, []actor{complete, otherUser}},
		{"points for one of two bookings", pointsTwice, []actor{complete, otherOwn}},
	}
	for _, prefix := range []string{"ok-", "decline-", "lost-", "flaky-", "timeout-", "late-", "mismatch-"} {
		list = append(list,
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, approve}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, cancel}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, register}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, toPoints}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, reconcile}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, passing(25 * time.Second), approve}},
			encounter{"a charge of " + prefix, charging(prefix), []actor{approve, passing(25 * time.Second), sweepAsk}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{approve, approve}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{approve, compensate}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{approve, cancel}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{register, compensate}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{cancel, compensate}},
			encounter{"a charge asked for, " + prefix, charged(prefix), []actor{compensate, sweepAsk}},
			encounter{"a lapsed charge, " + prefix, lapsed(charged(prefix)), []actor{approve, sweepLapse}},
			encounter{"a lapsed charge, " + prefix, lapsed(charged(prefix)), []actor{compensate, sweepLapse}},
		)
	}
	return list
}

// recordedSchedules is how many schedules there were when they were last counted.
// Fewer means that a boundary, a process or an encounter has gone missing.
const recordedSchedules = 415_861

func TestEveryInterleaving(t *testing.T) {
	began := time.Now()
	var total atomic.Int64
	t.Run("meetings", func(t *testing.T) {
		for _, e := range encounters() {
			names := make([]string, len(e.actors))
			for i, a := range e.actors {
				names[i] = a.name
			}
			t.Run(e.name+": "+strings.Join(names, " × "), func(t *testing.T) {
				t.Parallel()
				n := e.explore(t)
				total.Add(int64(n))
				t.Logf("%d schedules", n)
			})
		}
	})
	t.Logf("%d schedules of %d meetings in %.0f s", total.Load(), len(encounters()), time.Since(began).Seconds())
	if !t.Failed() && total.Load() < recordedSchedules {
		t.Errorf("%d schedules were run, %d are recorded", total.Load(), recordedSchedules)
	}
}
