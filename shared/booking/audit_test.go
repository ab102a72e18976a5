package booking_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/paymentgateway"
)

// lot is a product with a booking in each state that a flow ends in, on a gate that
// agrees: what the tests break.
type lot struct {
	*world
	product                            int64
	sold, points, cancelled, held, was booking.Booking
}

func newLot(t *testing.T) lot {
	t.Helper()
	l := lot{world: newWorld(t)}
	l.product = l.world.product(10)
	for user, key := range map[int64]string{7: "ok-7", 9: "ok-9"} {
		b := l.register(l.reserve(user, l.product), card("100000"))
		if _, err := l.approve(b, key); err != nil {
			t.Fatal(err)
		}
		if _, err := l.complete(b); err != nil {
			t.Fatal(err)
		}
		l.sold, l.cancelled = l.cancelled, b
	}
	if l.sold.UserID != 7 {
		l.sold, l.cancelled = l.cancelled, l.sold
	}
	l.grant(8, "150000")
	l.points = l.register(l.reserve(8, l.product), points("100000"))
	if _, err := l.complete(l.points); err != nil {
		t.Fatal(err)
	}
	l.was = l.reserve(11, l.product)
	for _, b := range []booking.Booking{l.cancelled, l.was} {
		if _, err := l.cancel(b); err != nil {
			t.Fatal(err)
		}
	}
	l.deliver()
	l.held = l.reserve(10, l.product)
	l.wantSound()
	return l
}

// brokenRows are what each database invariant forbids, done beside the store. $1 is
// the booking that the audit has to name.
var brokenRows = []struct {
	name, invariant string
	which           func(lot) booking.Booking // nil: no booking is at fault
	constraints     []string                  // what keeps it from happening
	sql             []string
}{
	{"a unit is lost", "I1", nil, nil, []string{`UPDATE product SET remaining_stock = remaining_stock - 1`}},
	{"stock without a reason", "I1", nil, nil, []string{`UPDATE product SET remaining_stock = remaining_stock + 1, total_stock = total_stock + 1`}},
	{"two open bookings", "I2", func(l lot) booking.Booking { return l.sold },
		[]string{`DROP INDEX booking_one_open`},
		[]string{`INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
			SELECT user_id, product_id, total_amount, 'another', now() + interval '1 minute', check_in_at FROM booking WHERE id = $1`}},
	{"sold and paid in part", "I3", func(l lot) booking.Booking { return l.sold }, nil,
		[]string{`UPDATE payment SET amount = amount - 1 WHERE booking_id = $1`}},
	{"sold with a payment to come", "I3", func(l lot) booking.Booking { return l.sold }, nil,
		[]string{`INSERT INTO payment (booking_id, payment_method, amount) VALUES ($1, 'POINT', 5)`}},
	{"ended and paid", "I4", func(l lot) booking.Booking { return l.cancelled }, nil,
		[]string{`UPDATE payment SET status = 'SUCCESS' WHERE booking_id = $1`}},
	{"charged and never commanded back", "I5", func(l lot) booking.Booking { return l.cancelled }, nil,
		[]string{`DELETE FROM payment_attempt WHERE booking_id = $1 AND kind = 'CANCEL'`}},
	{"sold and commanded back", "I5", func(l lot) booking.Booking { return l.sold }, nil,
		[]string{`INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount)
			SELECT payment_id, booking_id, 'CANCEL', 'DONE', order_id, 'k', payment_key, amount FROM payment_attempt WHERE booking_id = $1`}},
	{"two refunds", "I5", func(l lot) booking.Booking { return l.cancelled },
		[]string{`ALTER TABLE payment_attempt DROP CONSTRAINT payment_attempt_one_per_kind`},
		[]string{`INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount)
			SELECT payment_id, booking_id, kind, state, order_id, 'k', payment_key, amount FROM payment_attempt WHERE booking_id = $1 AND kind = 'CANCEL'`}},
	{"points out of nothing", "I6", func(l lot) booking.Booking { return l.points }, nil,
		[]string{`UPDATE user_point SET balance = balance + 1 WHERE user_id = (SELECT user_id FROM booking WHERE id = $1)`}},
	{"sold for points and not debited", "I6", func(l lot) booking.Booking { return l.points }, nil,
		[]string{`DELETE FROM point_ledger WHERE payment_id = (SELECT id FROM payment WHERE booking_id = $1)`}},
	{"debited twice", "I6", func(l lot) booking.Booking { return l.points },
		[]string{`ALTER TABLE point_ledger DROP CONSTRAINT point_ledger_once`},
		[]string{`INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
			SELECT user_id, delta, kind, payment_id, reason FROM point_ledger WHERE payment_id = (SELECT id FROM payment WHERE booking_id = $1)`}},
	{"sold and credited back", "I6", func(l lot) booking.Booking { return l.points }, nil,
		[]string{`INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
			SELECT user_id, -delta, 'CREDIT', payment_id, reason FROM point_ledger WHERE payment_id = (SELECT id FROM payment WHERE booking_id = $1)`}},
	{"open past its hold", "I7", func(l lot) booking.Booking { return l.held }, nil,
		[]string{`UPDATE booking SET hold_expires_at = now() - interval '121 seconds' WHERE id = $1`}},
	{"an attempt that nobody takes up", "I7", func(l lot) booking.Booking { return l.cancelled }, nil,
		[]string{`UPDATE payment_attempt SET state = 'PENDING', next_try_at = now() - interval '121 seconds' WHERE booking_id = $1 AND kind = 'CANCEL'`}},
	{"an attempt that waits for ever", "I7", func(l lot) booking.Booking { return l.cancelled }, nil,
		[]string{`UPDATE payment_attempt SET state = 'PENDING', next_try_at = NULL WHERE booking_id = $1 AND kind = 'CANCEL'`}},
	{"a message that nobody sends", "I7", func(l lot) booking.Booking { return l.cancelled }, nil,
		[]string{`UPDATE outbox SET sent_at = NULL, created_at = now() - interval '121 seconds' WHERE booking_id = $1`}},
	{"sold after its end", "I8", func(l lot) booking.Booking { return l.was }, nil,
		[]string{`UPDATE booking SET status = 'CONFIRMED' WHERE id = $1`}},
	{"moved after its end", "I8", func(l lot) booking.Booking { return l.was }, nil,
		[]string{`INSERT INTO booking_event (booking_id, event) VALUES ($1, 'REGISTERED')`}},
	{"ended twice", "I8", func(l lot) booking.Booking { return l.was }, nil,
		[]string{`INSERT INTO booking_event (booking_id, event) VALUES ($1, 'CANCELLED')`}},
	{"failed after it was sold", "I8", func(l lot) booking.Booking { return l.sold }, nil,
		[]string{`UPDATE booking SET status = 'FAILED', failure_code = 'HOLD_EXPIRED' WHERE id = $1`}},
	{"a total of NaN", "I9", func(l lot) booking.Booking { return l.was },
		[]string{`ALTER TABLE booking DROP CONSTRAINT booking_total_positive`},
		[]string{`UPDATE booking SET total_amount = 'NaN' WHERE id = $1`}},
	{"a third decimal", "I9", func(l lot) booking.Booking { return l.cancelled },
		[]string{`ALTER TABLE payment ALTER amount TYPE numeric`},
		[]string{`UPDATE payment SET amount = 100000.001 WHERE booking_id = $1`}},
	{"an attempt of NaN", "I9", func(l lot) booking.Booking { return l.cancelled },
		[]string{`ALTER TABLE payment_attempt DROP CONSTRAINT payment_attempt_amount_positive`},
		[]string{`UPDATE payment_attempt SET amount = 'NaN' WHERE booking_id = $1`}},
	{"a movement of a third decimal", "I9", func(l lot) booking.Booking { return l.points },
		[]string{`ALTER TABLE point_ledger ALTER delta TYPE numeric`},
		[]string{`UPDATE point_ledger SET delta = delta - 0.001 WHERE payment_id = (SELECT id FROM payment WHERE booking_id = $1)`}},
	{"a price of NaN", "I9", nil,
		[]string{`ALTER TABLE product DROP CONSTRAINT product_price_positive`}, []string{`UPDATE product SET price = 'NaN'`}},
}

func TestAuditNamesBrokenRows(t *testing.T) {
	for _, c := range brokenRows {
		t.Run(c.name, func(t *testing.T) {
			l := newLot(t)
			for _, sql := range c.constraints {
				l.exec(sql)
			}
			var id []any
			if c.which != nil {
				id = []any{c.which(l).ID}
			}
			for _, sql := range c.sql {
				l.exec(sql, id...)
			}
			l.wantBreach(0, c.invariant, "; ", id...)
			if !strings.HasPrefix(c.name, "points out") && !strings.HasPrefix(c.name, "a movement") { // a balance belongs to no product
				l.wantBreach(l.product, c.invariant, "; ", id...)
			}
		})
	}
}

// wantBreach wants the audit to name the invariant with exactly this booking among its
// ids, and in its text what to do.
func (w *world) wantBreach(product int64, invariant, detail string, bookings ...any) {
	w.t.Helper()
	found, err := w.admin().Audit(w.t.Context(), product)
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(b booking.Breach) bool {
		named := len(bookings) == 0 && len(b.BookingIDs) == 0 || len(bookings) > 0 && slices.Contains(b.BookingIDs, bookings[0].(int64))
		return b.Invariant == invariant && named && strings.Contains(b.Detail, detail)
	}) {
		w.t.Errorf("audit of product %d finds %+v, want %s of booking %v: %s", product, found, invariant, bookings, detail)
	}
}

func TestAuditNamesGateDrift(t *testing.T) {
	l := newLot(t)
	for name, c := range map[string]struct {
		which     booking.Booking
		invariant string
		detail    string
		spoil     func() error
	}{
		"sold and not in the gate": {l.sold, "G1", "run reconcile", func() error { return l.gate.Release(t.Context(), l.sold.Hold()) }},
		"held and not in the gate": {l.held, "G1", "run reconcile", func() error { return l.gate.Release(t.Context(), l.held.Hold()) }},
		"sold in the gate alone":   {l.held, "G1", "run reconcile", func() error { return l.gate.Confirm(t.Context(), l.held.Hold(), l.held.ID) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		l.wantBreach(l.product, c.invariant, c.detail, c.which.ID)
		l.wantBreach(0, c.invariant, c.detail, c.which.ID)
		if _, err := l.admin().Reconcile(t.Context(), l.product); err != nil {
			t.Fatal(err)
		}
		l.wantSound()
	}

	l.exec(`UPDATE product SET total_stock = total_stock + 1, remaining_stock = remaining_stock + 1`)
	l.exec(`INSERT INTO stock_adjustment (product_id, delta, reason) VALUES ($1, 1, 'found')`, l.product)
	l.wantBreach(l.product, "G1", "run reconcile")
	l.exec(`UPDATE product SET version = version - 1`) // the database was restored from an older backup
	if _, err := l.gate.PutFacts(t.Context(), booking.Facts{ProductID: l.product, Version: 99, Stock: 1, Active: true, CheckInAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	l.wantBreach(l.product, "G1", "delete the product's keys")
	l.exec(`UPDATE product SET total_stock = 1, remaining_stock = 0`)
	l.wantBreach(l.product, "G2", "confirmed 2 users of 1 units")
}

func TestAuditNamesAHoldThatNoStepWrote(t *testing.T) {
	l := newLot(t)
	limit := booking.StrayLimit(l.holdTTL, l.window, 0)
	if _, err := l.gate.Place(t.Context(), stranger(21, l.product), limit-time.Second); err != nil { // its INSERT is under way
		t.Fatal(err)
	}
	l.wantSound()
	if _, err := l.gate.Place(t.Context(), stranger(22, l.product), limit+time.Minute); err != nil {
		t.Fatal(err)
	}
	l.wantBreach(l.product, "G2", "user 22 has no open booking")
}

// told is a ledger that tells another story of some charges.
type told struct {
	booking.Ledger
	retell func([]booking.LedgerCharge) []booking.LedgerCharge
}

func (l told) Charges(ctx context.Context, receive func([]booking.LedgerCharge) error) error {
	return l.Ledger.Charges(ctx, func(page []booking.LedgerCharge) error { return receive(l.retell(page)) })
}

// Somebody has written into one gate by hand: it is named, and the others are looked at all the same.
func TestAuditNamesAGateThatNobodyCanRead(t *testing.T) {
	w := newWorld(t)
	damaged, drifted := w.product(3), w.product(3)
	w.reserve(7, damaged)
	lost := w.reserve(8, drifted)
	redis := servers{w}
	redis.redis("ZADD", redis.key(damaged, "holds"), "99999999999999", "424242") // without a token
	redis.redis("ZREM", redis.key(drifted, "holds"), "8")
	w.wantBreach(0, "G1", fmt.Sprintf("product %d: the gate cannot be read", damaged))
	w.wantBreach(0, "G1", fmt.Sprintf("product %d", drifted), lost.ID)
	list, err := w.admin().Reconcile(t.Context(), 0)
	if err != nil || len(list) != 2 || !list[0].Damaged || list[1].Damaged || len(list[1].Changed) != 1 {
		t.Errorf("reconciled: %+v %v", list, err)
	}
}

func TestAuditHoldsTheLedgerAgainstThePayments(t *testing.T) {
	l := newLot(t)
	order := func(b booking.Booking) string { return l.read(b).Payments[0].OrderID }
	sold, returned := order(l.sold), order(l.cancelled)
	change := func(order string, to func(c booking.LedgerCharge) []booking.LedgerCharge) func([]booking.LedgerCharge) []booking.LedgerCharge {
		return func(page []booking.LedgerCharge) (out []booking.LedgerCharge) {
			for _, c := range page {
				if c.OrderID == order {
					out = append(out, to(c)...)
				} else {
					out = append(out, c)
				}
			}
			return out
		}
	}
	one := func(c booking.LedgerCharge) []booking.LedgerCharge { return []booking.LedgerCharge{c} }
	real := l.ledger
	for name, c := range map[string]struct {
		retell  func([]booking.LedgerCharge) []booking.LedgerCharge
		detail  string
		booking any
	}{
		"charged twice":         {change(sold, func(c booking.LedgerCharge) []booking.LedgerCharge { return []booking.LedgerCharge{c, c} }), "2 times", l.sold.ID},
		"sold and given back":   {change(sold, func(c booking.LedgerCharge) []booking.LedgerCharge { c.Cancelled = true; return one(c) }), "the gateway keeps 0; cancel", l.sold.ID},
		"sold, never charged":   {change(sold, func(booking.LedgerCharge) []booking.LedgerCharge { return nil }), "the gateway keeps 0; cancel", l.sold.ID},
		"sold for more":         {change(sold, func(c booking.LedgerCharge) []booking.LedgerCharge { c.Amount = amount("100001"); return one(c) }), "is owed 100000; give", l.sold.ID},
		"ended and never given": {change(returned, func(c booking.LedgerCharge) []booking.LedgerCharge { c.Cancelled = false; return one(c) }), "is owed 0; give", l.cancelled.ID},
	} {
		t.Log(name)
		l.ledger = told{real, c.retell}
		l.wantBreach(l.product, "I5", c.detail, c.booking)
		l.wantBreach(0, "I5", c.detail, c.booking)
	}
	l.ledger = told{real, change(sold, func(c booking.LedgerCharge) []booking.LedgerCharge {
		return []booking.LedgerCharge{c, {OrderID: "nobody", Amount: amount("5")}}
	})}
	l.wantBreach(0, "I5", "which no payment bears")
}

// TestAuditWithoutALedger asks gateways that have none, or only a part of one.
func TestAuditWithoutALedger(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	for name, ledger := range map[string]booking.Ledger{
		"answers 401":      w.gatewayAt(w.gatewayURL + "/v1/payments/orders/none?"),
		"answers 404":      w.gatewayAt(w.gatewayURL + "/nothing"),
		"nobody is there":  w.gatewayAt("http://127.0.0.1:1"),
		"no URL":           w.gatewayAt(":"),
		"broken off":       w.gatewayAt(w.documentServer(`{"charges":[{"orderId":"x","amount":"1.00"}`)),
		"another document": w.gatewayAt(w.documentServer(`{"charges":[{"orderId":"x","amount":"1.00"}],"net":1}`)),
		"not JSON":         w.gatewayAt(w.documentServer(`<html>`)),
	} {
		w.ledger = ledger
		found, err := w.admin().Audit(t.Context(), product)
		if !errors.Is(err, booking.ErrNoLedger) || len(found) > 0 {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

// gatewayAt is the gateway's client with another address.
func (w *world) gatewayAt(url string) *paymentgateway.Client {
	return paymentgateway.New(paymentgateway.Options{CardURL: url, CardSecret: "secret", Timeout: w.timeout})
}

// documentServer answers every request with one document.
func (w *world) documentServer(document string) string {
	w.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, document) }))
	w.t.Cleanup(server.Close)
	return server.URL
}

// TestAuditLetsABusySystemBe meets everything that somebody will still act on.
func TestAuditLetsABusySystemBe(t *testing.T) {
	w := newWorld(t)
	product := w.product(20)
	card := func(user int64) booking.Booking { return w.register(w.reserve(user, product), card("100000")) }
	w.reserve(1, product)
	card(2)
	w.begin(card(3), "ok-3") // a charge that is about to be sent
	for user, key := range map[int64]string{4: "lost-4", 5: "timeout-5", 6: "late-6", 7: "mismatch-7"} {
		if r, err := w.approve(card(user), key); err != nil || !r.Pending {
			t.Fatalf("approve %s: %v", key, err)
		}
	}
	paid := card(8)
	if _, err := w.approve(paid, "ok-8"); err != nil {
		t.Fatal(err)
	}
	for user, key := range map[int64]string{9: "ok-9", 10: "lost-10", 11: "stuckcancel-11"} {
		b := card(user)
		if _, err := w.approve(b, key); err != nil {
			t.Fatal(err)
		}
		if _, err := w.cancel(b); err != nil { // the money goes back by messages that nobody has delivered
			t.Fatal(err)
		}
	}
	w.queue.fail = errors.New("the queue is away")
	unsent := card(12)
	if _, err := w.approve(unsent, "ok-12"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(unsent); err != nil {
		t.Fatal(err)
	}
	w.stage.lapse(card(13))                                                                // the sweep has not come yet
	if _, err := w.gate.Place(t.Context(), stranger(14, product), w.holdTTL); err != nil { // an INSERT under way
		t.Fatal(err)
	}
	for range 3 {
		w.wantSound()
		if found, err := w.admin().Audit(t.Context(), product); err != nil || len(found) > 0 {
			t.Errorf("audit: %+v %v", found, err)
		}
	}
}

// stranger is a hold that no booking was made for.
func stranger(user, product int64) booking.Hold {
	return booking.Hold{ProductID: product, UserID: user, Token: fmt.Sprintf("%032x", user)}
}
