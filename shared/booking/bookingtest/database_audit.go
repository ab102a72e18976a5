package bookingtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// quiet is how long something may wait before the sweep should have taken it up.
const quiet = 120 * time.Second

// breachLimit bounds how much of one invariant's breaches is reported.
const breachLimit = 100

// Breaches holds every database invariant against the rows.
func (d *Database) Breaches(_ context.Context, productID int64) ([]booking.Breach, error) {
	defer d.begin()()
	a := audit{Database: d, productID: productID}
	found := []booking.Breach{}
	for _, i := range []struct {
		name  string
		check func()
	}{
		{"I1", a.sold}, {"I1", a.adjusted}, {"I2", a.doubled}, {"I3", a.paid}, {"I4", a.kept}, {"I6", a.balanced}, {"I6", a.moved},
		{"I7", a.overdue}, {"I7", a.unattempted}, {"I7", a.unsent}, {"I9", a.malformed},
	} {
		a.found = nil
		i.check()
		for _, b := range a.found[:min(len(a.found), breachLimit)] {
			b.Invariant = i.name
			found = append(found, b)
		}
	}
	return found, nil
}

// audit looks at one product's rows, or (0) at all.
type audit struct {
	*Database
	productID int64
	found     []booking.Breach
}

func (a *audit) breach(bookingIDs []int64, format string, args ...any) {
	a.found = append(a.found, booking.Breach{Detail: fmt.Sprintf(format, args...), BookingIDs: bookingIDs})
}

func (a *audit) covers(productID int64) bool { return a.productID == 0 || a.productID == productID }

func (a *audit) coversBooking(id int64) bool {
	return a.productID == 0 || a.row(id).ProductID == a.productID
}

func (a *audit) sold() {
	for _, p := range a.products {
		var confirmed int64
		for _, b := range a.bookings {
			if b.ProductID == p.ID && b.Status == booking.Confirmed {
				confirmed++
			}
		}
		if a.covers(p.ID) && p.TotalStock != p.RemainingStock+confirmed {
			a.breach([]int64{}, "product %d: stock %d is not remaining %d and confirmed %d; see stock_adjustment",
				p.ID, p.TotalStock, p.RemainingStock, confirmed)
		}
	}
}

func (a *audit) adjusted() {
	for _, p := range a.products {
		var sum int64
		for _, m := range a.adjustments {
			if m.ProductID == p.ID {
				sum += m.Delta
			}
		}
		if a.covers(p.ID) && p.TotalStock != sum {
			a.breach([]int64{}, "product %d: stock %d is not the sum of its adjustments %d", p.ID, p.TotalStock, sum)
		}
	}
}

func (a *audit) doubled() {
	for i, b := range a.bookings {
		same := func(o *BookingRow) bool { return o.UserID == b.UserID && o.ProductID == b.ProductID && open(o.Status) }
		if !open(b.Status) || !a.covers(b.ProductID) || slices.ContainsFunc(a.bookings[:i], same) {
			continue
		}
		ids := []int64{b.ID}
		for _, o := range a.bookings[i+1:] {
			if same(o) {
				ids = append(ids, o.ID)
			}
		}
		if len(ids) > 1 {
			a.breach(ids, "user %d has %d open bookings of product %d", b.UserID, len(ids), b.ProductID)
		}
	}
}

func (a *audit) paid() {
	for _, b := range a.bookings {
		if b.Status != booking.Confirmed || !a.covers(b.ProductID) {
			continue
		}
		paid, ready := decimal.Zero, false
		for _, p := range a.payments {
			if p.BookingID == b.ID && p.Status == booking.PaymentSuccess {
				paid = paid.Add(p.Amount)
			}
			ready = ready || p.BookingID == b.ID && p.Status == booking.PaymentReady
		}
		if ready || !paid.Equal(b.TotalAmount) {
			a.breach([]int64{b.ID}, "booking %d is CONFIRMED, paid %s of %s", b.ID, text(paid), text(b.TotalAmount))
		}
	}
}

func (a *audit) kept() {
	for _, p := range a.payments {
		b := a.row(p.BookingID)
		c := a.attempt(p, CancelAttempt)
		if a.covers(b.ProductID) && b.Status.Dead() && p.Status == booking.PaymentSuccess && (c == nil || c.State != AttemptPending) {
			a.breach([]int64{b.ID}, "booking %d is %s and payment %d is SUCCESS with no refund on its way; redrive it", b.ID, b.Status, p.ID)
		}
	}
}

func (a *audit) balanced() {
	if a.productID != 0 {
		return
	}
	for _, u := range a.balances {
		sum := a.sum(func(l *LedgerRow) bool { return l.UserID == u.UserID })
		if !sum.Equal(u.Balance) {
			a.breach([]int64{}, "user %d has %s points, and his ledger says %s", u.UserID, text(u.Balance), text(sum))
		}
	}
}

func (a *audit) sum(fits func(*LedgerRow) bool) decimal.Decimal {
	sum := decimal.Zero
	for _, l := range a.ledger {
		if fits(l) {
			sum = sum.Add(l.Delta)
		}
	}
	return sum
}

func (a *audit) moved() {
	for _, p := range a.payments {
		if p.PaymentMethod != booking.Point || !a.coversBooking(p.BookingID) {
			continue
		}
		sum := a.sum(func(l *LedgerRow) bool { return l.PaymentID == p.ID })
		want := decimal.Zero
		if p.Status == booking.PaymentSuccess {
			want = p.Amount.Neg()
		}
		if !sum.Equal(want) {
			a.breach([]int64{p.BookingID}, "payment %d of booking %d is %s and its points moved %s", p.ID, p.BookingID, p.Status, text(sum))
		}
	}
}

func (a *audit) overdue() {
	for _, b := range a.bookings {
		if b.Status.Live() && b.HoldExpiresAt.Before(a.moment.Add(-quiet)) && a.covers(b.ProductID) {
			a.breach([]int64{b.ID}, "booking %d is %s, %s past its hold; is the sweep running?", b.ID, b.Status, a.moment.Sub(b.HoldExpiresAt))
		}
	}
}

func (a *audit) unattempted() {
	for _, t := range a.attempts {
		if t.State.waiting() && t.NextTryAt.Before(a.moment.Add(-quiet)) && a.coversBooking(t.BookingID) {
			a.breach([]int64{t.BookingID}, "booking %d: a %s attempt has waited since %s; is the sweep running?", t.BookingID, t.Kind, t.NextTryAt)
		}
	}
}

func (a *audit) unsent() {
	for _, m := range a.outbox {
		if m.SentAt.IsZero() && m.CreatedAt.Before(a.moment.Add(-quiet)) && a.coversBooking(m.BookingID) {
			a.breach([]int64{m.BookingID}, "booking %d: a message has not been sent since %s; redrive it", m.BookingID, m.CreatedAt)
		}
	}
}

// malformed finds amounts with a third decimal. A decimal is never NaN.
func (a *audit) malformed() {
	bad := func(amount decimal.Decimal) bool { return !amount.Equal(amount.Round(2)) }
	for _, b := range a.bookings {
		wrong := bad(b.TotalAmount) || find(a.payments, func(p *PaymentRow) bool { return p.BookingID == b.ID && bad(p.Amount) }) != nil
		if wrong && a.covers(b.ProductID) {
			a.breach([]int64{b.ID}, "booking %d has an amount that is no amount", b.ID)
		}
	}
}
