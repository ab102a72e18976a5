package booking_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// stage is what happens around the steps, where no port reaches: time, a gate that
// loses its memory, and the gateway's own books. With it and the four ports a world may
// stand on other implementations than the servers.
type stage interface {
	// leasesEnd lets the leases and the back-off of the buyer's attempts, and the mark of
	// whoever was warming his product's gate, run out.
	leasesEnd(s *stay)
	// timePasses lets leases, back-off, the gateway's session and the holds of the buyer's
	// product be over.
	timePasses(s *stay)
	// lapse lets one booking's hold be past, in the database and in the gate.
	lapse(b booking.Booking)
	// forget makes the gate of a product cold.
	forget(product int64)
	// chargesComeIn returns when no late charge of the buyer is still to come.
	chargesComeIn(s *stay)
	// kept is what the gateway keeps of an order.
	kept(orderID string) decimal.Decimal
	// retire takes a product out of what the next sweeps look at.
	retire(product int64)
}

// servers is the stage of real ones: rows are moved beside the store, keys beside the
// gate.
type servers struct{ *world }

func (w servers) leasesEnd(s *stay) {
	w.t.Helper()
	w.exec(`UPDATE payment_attempt SET lease_until = least(lease_until, now()), next_try_at = now()
		WHERE next_try_at IS NOT NULL AND booking_id IN (SELECT id FROM booking WHERE user_id = $1)`, s.user)
	w.redis("DEL", w.key(s.product, "warm"))
}

func (w servers) timePasses(s *stay) {
	w.t.Helper()
	w.chargesComeIn(s)
	w.exec(`WITH mine AS (SELECT id FROM booking WHERE product_id = $1),
		attempts AS (UPDATE payment_attempt SET next_try_at = now(), sendable_until = sendable_until - interval '1 hour',
			lease_until = least(lease_until, now())
			WHERE next_try_at IS NOT NULL AND booking_id IN (SELECT id FROM mine)),
		messages AS (UPDATE outbox SET created_at = created_at - interval '1 minute'
			WHERE sent_at IS NULL AND booking_id IN (SELECT id FROM mine))
		UPDATE booking SET hold_expires_at = now() - interval '1 hour'
		WHERE status IN ('INIT', 'PAYMENT_PENDING') AND product_id = $1`, s.product)
	w.redis("DEL", w.key(s.product, "warm"))
}

func (w servers) lapse(b booking.Booking) {
	w.t.Helper()
	w.exec(`UPDATE booking SET hold_expires_at = now() - interval '1 second' WHERE id = $1`, b.ID)
	if err := w.gate.Release(w.t.Context(), b.Hold()); err != nil {
		w.t.Fatal(err)
	}
}

func (w servers) forget(product int64) {
	w.t.Helper()
	for _, name := range []string{"product", "holds", "tokens", "marks", "bookings", "warm"} {
		w.redis("DEL", w.key(product, name))
	}
}

func (w servers) chargesComeIn(s *stay) {
	w.t.Helper()
	if !strings.HasPrefix(s.key, "late-") {
		return
	}
	for _, b := range w.bookings(s.user) {
		for _, p := range b.Payments {
			if w.simulator.Confirms(p.OrderID) == 0 {
				continue
			}
			for deadline := time.Now().Add(10 * time.Second); !w.charged(p.OrderID); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					w.t.Fatalf("the late charge of order %s never came", p.OrderID)
				}
			}
		}
	}
}

func (w servers) charged(orderID string) bool {
	for _, c := range w.simulator.Ledger().Charges {
		if c.OrderID == orderID {
			return true
		}
	}
	return false
}

func (w servers) kept(orderID string) decimal.Decimal {
	kept := decimal.Zero
	for _, c := range w.simulator.Ledger().Charges {
		if c.OrderID == orderID && !c.Cancelled {
			kept = kept.Add(amount(c.Amount))
		}
	}
	return kept
}

func (w servers) retire(product int64) {
	w.t.Helper()
	w.exec(`UPDATE product SET sale_start_at = now() - interval '9 days', check_in_at = now() - interval '8 days' WHERE id = $1`, product)
}

func (w servers) key(product int64, name string) string {
	return fmt.Sprintf("%sstayhold:{%d}:%s", w.prefix, product, name)
}

func (w servers) redis(words ...any) {
	w.t.Helper()
	if err := w.besideGate(words...); err != nil {
		w.t.Fatal(err)
	}
}

// stay is one buyer's way through one scenario.
type stay struct {
	user, product int64
	key           string
	set           booking.Set
	booking       booking.Booking
}

// bookings lists what the user has, by the adapters as they are.
func (w *world) bookings(user int64) []booking.Booking {
	w.t.Helper()
	list, _, err := w.query().Bookings(w.t.Context(), user, "", booking.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// judge holds what stands in the end, in all places, against the invariants.
func (w *world) judge(s *stay, sold bool, when string) {
	w.t.Helper()
	breaches, err := w.admin().Audit(w.t.Context(), s.product)
	if err != nil || len(breaches) > 0 {
		w.t.Errorf("%s: audit: %v %v", when, breaches, err)
	}
	w.judgeStay(s, sold, when)
}

// judgeStay holds what the buyer sees, and what the gateway keeps, against the
// invariants. It returns his bookings.
func (w *world) judgeStay(s *stay, sold bool, when string) []booking.Booking {
	w.t.Helper()
	list, confirmed := w.bookings(s.user), false
	for _, b := range list {
		confirmed = confirmed || b.Status == booking.Confirmed
		if b.Status.Live() {
			w.t.Errorf("%s: booking %d is still %s", when, b.ID, b.Status)
		}
		for _, p := range b.Payments {
			if !p.Method.ByGateway() {
				continue
			}
			if kept := w.stage.kept(p.OrderID); !kept.Equal(wantKept(b, p)) {
				w.t.Errorf("%s: booking %d is %s and the gateway keeps %s of payment %+v\n%v", when, b.ID, b.Status, kept, p, w.read(b).Timeline)
			}
		}
	}
	if sold && !confirmed {
		w.t.Errorf("%s: the buyer repeated, and was not sold: %+v", when, list)
	}
	return list
}

// wantKept is what the gateway must keep of a payment once all is quiet.
func wantKept(b booking.Booking, p booking.Payment) decimal.Decimal {
	if b.Status == booking.Confirmed && p.Status == booking.PaymentSuccess {
		return p.Amount
	}
	return decimal.Zero
}
