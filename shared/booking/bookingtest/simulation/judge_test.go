package simulation_test

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// judge holds a world against the invariants, by its rows, its gate and the gateway's
// ledger, and remembers what must stay as it was seen.
type judge struct {
	faults   []string
	statuses map[int64]booking.Status // of each booking, as last seen
	sold     map[int64]bool           // bookings that a buyer was told are CONFIRMED
	declined map[string]bool          // orders that a buyer was told are declined
	lenient  bool                     // more may be admitted than there are units; the database's guard refuses them
}

func newJudge() judge {
	return judge{statuses: map[int64]booking.Status{}, sold: map[int64]bool{}, declined: map[string]bool{}}
}

func (j *judge) fault(format string, a ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, a...))
}

func (j *judge) holds(ok bool, format string, a ...any) {
	if !ok {
		j.fault(format, a...)
	}
}

// always are the invariants that hold after each port call.
func (j *judge) always(w *world) {
	rows := w.db.Rows()
	paid := map[int64]decimal.Decimal{}
	ready := map[int64]bool{}
	for _, p := range rows.Payments {
		switch p.Status {
		case booking.PaymentSuccess:
			paid[p.BookingID] = paid[p.BookingID].Add(p.Amount)
		case booking.PaymentReady:
			ready[p.BookingID] = true
		}
		j.holds(p.Amount.IsPositive() && p.Amount.Equal(p.Amount.Round(2)), "I9: payment %d is of %s", p.ID, p.Amount)
	}
	confirmed := map[int64]int64{}
	open := map[[2]int64]int64{}
	for _, b := range rows.Bookings {
		status := b.Status
		was := j.statuses[b.ID]
		j.statuses[b.ID] = status
		j.holds(!was.Dead() || status == was, "I8: booking %d was %s and is %s", b.ID, was, status)
		j.holds(was != booking.Confirmed || status == was || status == booking.Cancelled, "I8: booking %d was CONFIRMED and is %s", b.ID, status)
		if !status.Dead() {
			who := [2]int64{b.UserID, b.ProductID}
			j.holds(open[who] == 0, "I2: user %d has bookings %d and %d open", b.UserID, open[who], b.ID)
			open[who] = b.ID
		}
		if status == booking.Confirmed {
			confirmed[b.ProductID]++
			j.holds(paid[b.ID].Equal(b.TotalAmount) && !ready[b.ID], "I3: booking %d is CONFIRMED, paid %s of %s, ready %v", b.ID, paid[b.ID], b.TotalAmount, ready[b.ID])
		}
		j.holds(!j.sold[b.ID] || status == booking.Confirmed || status == booking.Cancelled, "H1: booking %d was answered CONFIRMED and is %s", b.ID, status)
	}
	adjusted := map[int64]int64{}
	for _, a := range rows.Adjustments {
		adjusted[a.ProductID] += a.Delta
	}
	for _, p := range rows.Products {
		j.holds(p.RemainingStock >= 0 && p.TotalStock == p.RemainingStock+confirmed[p.ID],
			"I1: product %d has %d, of which %d remain and %d are sold", p.ID, p.TotalStock, p.RemainingStock, confirmed[p.ID])
		j.holds(p.TotalStock == adjusted[p.ID], "I1: product %d has %d, and its adjustments say %d", p.ID, p.TotalStock, adjusted[p.ID])
	}
	j.points(rows)
	j.charges(w)
	if !j.lenient {
		j.admitted(rows)
	}
}

// admitted is G2, as far as the bookings show it: no more units are sold and held than
// there are. A booking whose deadline was lengthened for a charge that has not come
// through is not counted: the gate is asked for its part after the database.
func (j *judge) admitted(rows bookingtest.Rows) {
	lengthened := map[int64]bool{}
	for _, p := range rows.Payments {
		lengthened[p.BookingID] = lengthened[p.BookingID] || p.HoldExtended && p.Status != booking.PaymentSuccess
	}
	units := map[int64][]int64{}
	for _, b := range rows.Bookings {
		if b.Status == booking.Confirmed || b.Status.Live() && b.HoldExpiresAt.After(time.Now()) && !lengthened[b.ID] {
			units[b.ProductID] = append(units[b.ProductID], b.ID)
		}
	}
	for _, p := range rows.Products {
		j.holds(int64(len(units[p.ID])) <= p.TotalStock, "G2: product %d has %d units, and bookings %v hold or have one", p.ID, p.TotalStock, units[p.ID])
	}
}

// held is G1 of a meeting that everybody survived: who has paid, and is in time, has his
// unit in the gate.
func (j *judge) held(w *world) {
	rows := w.db.Rows()
	charged := map[int64]bool{}
	for _, p := range rows.Payments {
		charged[p.BookingID] = charged[p.BookingID] || p.Status == booking.PaymentSuccess
	}
	for _, b := range rows.Bookings {
		if b.Status != booking.PaymentPending || !charged[b.ID] || !b.HoldExpiresAt.After(time.Now()) {
			continue
		}
		code, err := w.gate.Ensure(w.ctx, booking.Hold{ProductID: b.ProductID, UserID: b.UserID, Token: b.HoldToken}, time.Time{})
		j.holds(err == nil && (code == booking.EnsureOK || code == booking.EnsureCold), "G1: booking %d is paid and in time, and the gate says %s", b.ID, code)
	}
}

// points are I6.
func (j *judge) points(rows bookingtest.Rows) {
	sum := map[int64]decimal.Decimal{}
	moved := map[int64][]decimal.Decimal{}
	for _, l := range rows.Ledger {
		sum[l.UserID] = sum[l.UserID].Add(l.Delta)
		moved[l.PaymentID] = append(moved[l.PaymentID], l.Delta)
	}
	for _, b := range rows.Balances {
		j.holds(!b.Balance.IsNegative() && b.Balance.Equal(sum[b.UserID]), "I6: user %d has %s, and his ledger says %s", b.UserID, b.Balance, sum[b.UserID])
	}
	for _, p := range rows.Payments {
		if p.PaymentMethod != booking.Point {
			continue
		}
		total := decimal.Sum(decimal.Zero, moved[p.ID]...)
		want := decimal.Zero
		if p.Status == booking.PaymentSuccess {
			want = p.Amount.Neg()
		}
		j.holds(total.Equal(want) && len(moved[p.ID]) <= 2, "I6: payment %d is %s, and its points moved %v", p.ID, p.Status, moved[p.ID])
	}
}

// charges are what always holds of money outside: one charge per order.
func (j *judge) charges(w *world) {
	seen := map[string]bool{}
	for _, c := range w.gateway.Ledger() {
		j.holds(!seen[c.OrderID], "I5: order %s was charged twice", c.OrderID)
		seen[c.OrderID] = true
	}
}

// quiet are the invariants of a world at rest.
func (j *judge) quiet(w *world) {
	rows := w.db.Rows()
	status := map[int64]booking.Status{}
	for _, b := range rows.Bookings {
		status[b.ID] = b.Status
		j.holds(!b.Status.Live(), "I7: booking %d is still %s", b.ID, b.Status)
	}
	for _, a := range rows.Attempts {
		j.holds(!waiting(a), "I7: attempt %d of booking %d is still %s", a.ID, a.BookingID, a.State)
	}
	for _, o := range rows.Outbox {
		j.holds(!o.SentAt.IsZero(), "I7: message %d of booking %d is unsent", o.ID, o.BookingID)
	}
	want := map[string]decimal.Decimal{}
	for _, p := range rows.Payments {
		j.holds(p.Status != booking.PaymentSuccess || !status[p.BookingID].Dead(), "I4: booking %d is %s and payment %d SUCCESS", p.BookingID, status[p.BookingID], p.ID)
		if p.Status == booking.PaymentSuccess && status[p.BookingID] == booking.Confirmed {
			want[p.OrderID] = p.Amount
			j.holds(!j.declined[p.OrderID], "H1: order %s was answered declined, and paid booking %d", p.OrderID, p.BookingID)
		}
	}
	for _, c := range w.gateway.Ledger() {
		kept := c.Amount
		if c.Cancelled {
			kept = decimal.Zero
		}
		j.holds(kept.Equal(want[c.OrderID]), "I5: the gateway keeps %s of order %s, want %s", kept, c.OrderID, want[c.OrderID])
		delete(want, c.OrderID)
	}
	delete(want, "") // points have no order
	for order, a := range want {
		j.fault("I5: order %s counts as paid with %s, and the gateway has no charge", order, a)
	}
	j.places(w)
	breaches, err := w.plain().admin().Audit(w.ctx, 0)
	j.holds(err == nil && len(breaches) == 0, "audit: %v %v", breaches, err)
}

// stranger is a user who never buys: he asks each gate at rest for a unit.
const stranger = 1 << 40

// places are G1: at rest the gate has exactly the confirmed places, and gives a unit
// out exactly if one is left.
func (j *judge) places(w *world) {
	rows := w.db.Rows()
	for _, p := range rows.Products {
		placed, err := w.plain().reserve(stranger, p.ID, nil)
		if p.Status == "INACTIVE" {
			continue
		}
		j.holds((err == nil) == (p.RemainingStock > 0), "G1: product %d has %d units left, and a stranger is answered %v", p.ID, p.RemainingStock, err)
		if err == nil {
			if _, err := w.plain().cancel(stranger, placed.Booking.ID); err != nil {
				j.fault("the stranger cannot cancel: %v", err)
			}
		}
		j.confirmed(w, p.ID)
	}
}

func (j *judge) confirmed(w *world, product int64) {
	want := map[int64]string{}
	for _, b := range w.db.Rows().Bookings {
		if b.ProductID == product && b.Status == booking.Confirmed {
			want[b.UserID] = b.HoldToken
		}
	}
	standing := map[int64]booking.Place{} // a place may come twice
	for cursor, more := uint64(0), true; more; {
		places, next, err := w.gate.Places(w.ctx, product, cursor)
		if err != nil {
			j.fault("places: %v", err)
			return
		}
		for _, p := range places {
			standing[p.UserID] = p
		}
		cursor, more = next, next != 0
	}
	for user, p := range standing {
		j.holds(p.Confirmed && want[user] == p.Token, "G1: the gate of product %d has a place for user %d (confirmed %v) that no sale backs", product, user, p.Confirmed)
		delete(want, user)
	}
	for user := range want {
		j.fault("G1: user %d is sold product %d, and the gate does not know", user, product)
	}
}
