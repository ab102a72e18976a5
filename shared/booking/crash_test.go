package booking_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// An act is one invocation of a buyer's; its error is the answer that he sees.
type act func(w *world, s *stay) error

// stay is one buyer's way through one scenario.
type stay struct {
	user, product int64
	key           string
	set           booking.Set
	booking       booking.Booking
}

func doReserve(w *world, s *stay) error {
	r, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: s.user, ProductID: s.product})
	var duplicate *booking.Error
	switch {
	case err == nil:
		s.booking = r.Booking
	case errors.As(err, &duplicate) && duplicate.Code == "DUPLICATE_RESERVATION":
		s.booking, err = r.Booking, nil // a lost reply: the answer names the caller's own booking
	}
	return err
}

func doRegister(w *world, s *stay) error {
	_, err := booking.Register{Store: w.storePort}.Run(w.t.Context(), booking.Registration{UserID: s.user, BookingID: s.booking.ID, Set: s.set})
	return err
}

func doApprove(w *world, s *stay) error {
	r, err := w.approve(s.booking, s.key)
	if err == nil && r.Pending {
		return errPending
	}
	return err
}

func doComplete(w *world, s *stay) error {
	_, err := w.complete(s.booking)
	return err
}

func doCancel(w *world, s *stay) error {
	_, err := w.cancel(s.booking)
	return err
}

func doLapse(w *world, s *stay) error {
	w.lapse(s.booking)
	return nil
}

func doSpendPoints(w *world, s *stay) error {
	_, err := w.admin().GrantPoints(w.t.Context(), s.user, amount("-49999"), "spent elsewhere")
	return err
}

var errPending = errors.New("202: the gateway's answer is not known")

// crashScenarios are the plain flows and what can end them. sold: a buyer who repeats
// what was interrupted ends with a sale.
var crashScenarios = map[string]struct {
	set  booking.Set
	key  string
	acts []act
	sold bool
}{
	"card":            {card("100000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true},
	"points":          {points("50000"), "", []act{doReserve, doRegister, doApprove, doComplete}, true},
	"card and points": {both("20000", booking.Card, "30000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete}, true},
	"declined":        {card("50000"), "decline-", []act{doReserve, doRegister, doApprove}, false},
	"answer lost":     {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doApprove, doComplete}, true},
	"error, repeated": {card("50000"), "flaky-", []act{doReserve, doRegister, doApprove, doApprove, doComplete}, true},
	"another amount":  {card("50000"), "mismatch-", []act{doReserve, doRegister, doApprove, doApprove}, false},
	"cancel held":     {card("50000"), "", []act{doReserve, doCancel}, false},
	"cancel paid":     {both("20000", booking.Card, "30000"), "ok-", []act{doReserve, doRegister, doApprove, doCancel}, false},
	"cancel unknown":  {card("50000"), "lost-", []act{doReserve, doRegister, doApprove, doCancel}, false},
	"cancel sold":     {both("20000", booking.Card, "30000"), "ok-", []act{doReserve, doRegister, doApprove, doComplete, doCancel}, false},
	"points gone":     {both("20000", booking.Card, "30000"), "ok-", []act{doReserve, doRegister, doApprove, doSpendPoints, doComplete}, false},
	"lapsed, retaken": {card("50000"), "ok-", []act{doReserve, doRegister, doLapse, doApprove, doLapse, doComplete}, true},
}

// recovery is who notices that an invocation died.
type recovery string

const (
	byRetry   recovery = "by the buyer's repeat"
	byMessage recovery = "by message"
	bySweep   recovery = "by sweep alone"
)

// recordedCuts is how many points the scenarios had when they were last counted. Fewer
// means that a boundary, or a scenario, has gone missing.
const recordedCuts = 1150

func TestCrashAtEveryBoundary(t *testing.T) {
	var cuts atomic.Int64
	t.Run("scenarios", func(t *testing.T) {
		for name, sc := range crashScenarios {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				w.timeout = 100 * time.Millisecond
				w.gateway = w.gatewayWith("secret")
				for which := range sc.acts {
					for at := 1; w.crashAt(sc.acts, which, at, sc.set, sc.key, sc.sold, &cuts) && !t.Failed(); at++ {
						continue
					}
				}
			})
		}
	})
	t.Logf("%d crashes survived", cuts.Load())
	if n := cuts.Load(); !t.Failed() && n < recordedCuts {
		t.Errorf("%d crashes were cut, %d are recorded", n, recordedCuts)
	}
}

// crashAt kills one act at one of its calls, before it and after it, with each
// recovery. False: the act has no such call.
func (w *world) crashAt(acts []act, which, at int, set booking.Set, key string, sold bool, cuts *atomic.Int64) bool {
	w.t.Helper()
	for _, after := range []bool{false, true} {
		for _, how := range []recovery{byRetry, byMessage, bySweep} {
			s := &stay{user: w.nextUser(), product: w.priced(2, set.Sum()), set: set}
			s.key = key + fmt.Sprint(s.user)
			c := &cutter{at: at, after: after}
			w.crash(s, acts, which, c, how)
			w.judge(s, sold && how == byRetry, fmt.Sprintf("act %d, %s, %s", which+1, c.where(), how))
			w.retire(s)
			if !c.dead {
				return false
			}
			cuts.Add(1)
		}
	}
	return true
}

// crash runs the acts, kills one of them, and lets the recovery do its work.
func (w *world) crash(s *stay, acts []act, which int, c *cutter, how recovery) {
	w.t.Helper()
	w.grant(s.user, "50000")
	for i, act := range acts {
		if i == which {
			dying := *w
			dying.cut(c)
			_ = act(&dying, s) // nobody hears a dead process
			if how != byRetry {
				break
			}
			w.leasesEnd(s)
		}
		_ = act(w, s) // a refusal is an answer, and judged by what stands in the end
	}
	if how == bySweep {
		w.queue.take()
	}
	for range 2 {
		w.deliver()
		w.timePasses(s)
		w.sweepQuietly()
	}
}

// cut puts the cutter's boundaries around every port.
func (w *world) cut(c *cutter) {
	w.storePort = cutStore{w.storePort, c}
	w.gatePort = cutGate{w.gatePort, c}
	w.gateway = cutGateway{w.gateway, c}
	w.queuePort = cutQueue{w.queuePort, c}
}

// judge holds what stands in the end against the invariants.
func (w *world) judge(s *stay, sold bool, when string) {
	w.t.Helper()
	breaches, err := w.admin().Audit(w.t.Context(), s.product)
	if err != nil || len(breaches) > 0 {
		w.t.Errorf("%s: audit: %v %v", when, breaches, err)
	}
	list, _, err := w.query().Bookings(w.t.Context(), s.user, "", booking.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	confirmed := false
	for _, b := range list {
		confirmed = confirmed || b.Status == booking.Confirmed
		if b.Status.Live() {
			w.t.Errorf("%s: booking %d is still %s", when, b.ID, b.Status)
		}
		for _, p := range b.Payments {
			if kept := w.keptBy(p.OrderID); p.Method.ByGateway() && !kept.Equal(wantKept(b, p)) {
				w.t.Errorf("%s: booking %d is %s and the gateway keeps %s of payment %+v\n%v", when, b.ID, b.Status, kept, p, w.read(b).Timeline)
			}
		}
	}
	if sold && !confirmed {
		w.t.Errorf("%s: the buyer repeated, and was not sold: %+v", when, list)
	}
}

// wantKept is what the gateway must keep of a payment once all is quiet.
func wantKept(b booking.Booking, p booking.Payment) decimal.Decimal {
	if b.Status == booking.Confirmed && p.Status == booking.PaymentSuccess {
		return p.Amount
	}
	return decimal.Zero
}

// keptBy is what the gateway's ledger holds for an order.
func (w *world) keptBy(orderID string) decimal.Decimal {
	kept := decimal.Zero
	for _, c := range w.simulator.Ledger().Charges {
		if c.OrderID == orderID && !c.Cancelled {
			kept = kept.Add(amount(c.Amount))
		}
	}
	return kept
}

// leasesEnd lets the leases of the buyer's attempts run out, as waiting would.
func (w *world) leasesEnd(s *stay) {
	w.t.Helper()
	w.exec(`UPDATE payment_attempt SET lease_until = now(), next_try_at = now()
		WHERE lease_until IS NOT NULL AND booking_id IN (SELECT id FROM booking WHERE user_id = $1)`, s.user)
}

// timePasses lets leases, back-off, the gateway's session and the holds of the buyer
// be over.
func (w *world) timePasses(s *stay) {
	w.t.Helper()
	w.exec(`WITH mine AS (SELECT id FROM booking WHERE user_id = $1),
		attempts AS (UPDATE payment_attempt SET next_try_at = now(), sendable_until = sendable_until - interval '1 hour',
			lease_until = least(lease_until, now())
			WHERE next_try_at IS NOT NULL AND booking_id IN (SELECT id FROM mine)),
		messages AS (UPDATE outbox SET created_at = created_at - interval '1 minute'
			WHERE sent_at IS NULL AND booking_id IN (SELECT id FROM mine))
		UPDATE booking SET hold_expires_at = now() - interval '1 hour'
		WHERE status IN ('INIT', 'PAYMENT_PENDING') AND user_id = $1`, s.user)
}

// retire takes a product out of what the next sweeps look at.
func (w *world) retire(s *stay) {
	w.t.Helper()
	w.exec(`UPDATE product SET sale_start_at = now() - interval '9 days', check_in_at = now() - interval '8 days' WHERE id = $1`, s.product)
}

func (w *world) sweepQuietly() {
	w.t.Helper()
	if _, err := w.sweepStep().Run(w.t.Context()); err != nil {
		w.t.Errorf("sweep: %v", err)
	}
}

var users atomic.Int64

func (w *world) nextUser() int64 { return 1000 + users.Add(1) }
