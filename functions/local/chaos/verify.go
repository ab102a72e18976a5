package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/functions/local/harness"
	"stayhold/shared/postgres/postgrestest"
)

// quietWithin is how long it may take from the last request until nobody is owed anything.
const quietWithin = 3 * time.Minute

// owedSQL lists what somebody will still act upon.
const owedSQL = `
SELECT coalesce(array_agg(line), '{}') FROM (
    SELECT format('booking %s is %s until %s', id, status, hold_expires_at) FROM booking WHERE status IN ('INIT', 'PAYMENT_PENDING')
    UNION ALL SELECT format('booking %s: %s %s, try %s at %s', booking_id, kind, state, tries + 1, next_try_at) FROM payment_attempt WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING')
    UNION ALL SELECT format('booking %s: a message of %s', booking_id, created_at) FROM outbox WHERE sent_at IS NULL
) AS owed (line)`

// quiet waits until no booking is open, no charge or refund is under way, and every message has been sent.
func (r *run) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quietWithin)
	defer cancel()
	began := time.Now()
	for told := began; ; pause(ctx, 300*time.Millisecond) {
		var owed []string
		err := postgrestest.Row(ctx, r.servers.databaseURL, owedSQL, &owed)
		if err == nil && len(owed) == 0 {
			r.say("quiet after %.1f s", time.Since(began).Seconds())
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("not quiet within %v (%w); when last seen: %s", quietWithin, err, strings.Join(r.owed, "; "))
		}
		if err == nil {
			r.owed = owed
		}
		if time.Since(told) > progressEvery {
			told = time.Now()
			r.say("%5.0f s  waiting: %d open bookings, calls of the gateway and messages", time.Since(r.began).Seconds(), len(r.owed))
		}
	}
}

// ownSQL holds the rows against the invariants (README, AuditFinds) by statements of its own, apart from the product's
// audit: each finds a line for whatever breaks one.
var ownSQL = map[string]string{
	"I1": `SELECT format('product %s: total %s, remaining %s, %s CONFIRMED, adjusted %s', p.id, total_stock, remaining_stock, n, adjusted) FROM product p,
		LATERAL (SELECT count(*) AS n FROM booking b WHERE b.product_id = p.id AND b.status = 'CONFIRMED') c,
		LATERAL (SELECT coalesce(sum(delta), 0) AS adjusted FROM stock_adjustment s WHERE s.product_id = p.id) a
		WHERE total_stock <> remaining_stock + n OR remaining_stock < 0 OR total_stock <> adjusted`,
	"I2": `SELECT format('user %s, product %s: %s open bookings', user_id, product_id, count(*)) FROM booking
		WHERE status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED') GROUP BY user_id, product_id HAVING count(*) > 1`,
	"I3": `SELECT format('booking %s is CONFIRMED with payments %s', b.id, json_agg(p)) FROM booking b JOIN payment p ON p.booking_id = b.id
		WHERE b.status = 'CONFIRMED' GROUP BY b.id
		HAVING coalesce(sum(p.amount) FILTER (WHERE p.status = 'SUCCESS'), 0) <> b.total_amount OR bool_or(p.status = 'READY')`,
	"I4": `SELECT format('booking %s is %s with payment %s %s', b.id, b.status, p.id, p.status) FROM booking b JOIN payment p ON p.booking_id = b.id
		WHERE b.status IN ('FAILED', 'CANCELLED') AND p.status IN ('SUCCESS', 'READY')`,
	"I6": `SELECT format('user %s has %s points, granted and spent %s', user_id, balance, coalesce(sum(delta), 0)) FROM user_point LEFT JOIN point_ledger USING (user_id)
		GROUP BY user_id, balance HAVING balance <> coalesce(sum(delta), 0) OR balance < 0`,
	"I6 payments": `SELECT format('payment %s is %s, and its points moved %s', p.id, p.status, coalesce(sum(l.delta), 0)) FROM payment p LEFT JOIN point_ledger l ON l.payment_id = p.id
		WHERE p.payment_method = 'POINT' GROUP BY p.id HAVING coalesce(sum(l.delta), 0) <> CASE WHEN p.status = 'SUCCESS' THEN -p.amount ELSE 0 END`,
}

// verify holds everything that must be true once all is quiet, and returns what is not.
func (r *run) verify(ctx context.Context) ([]string, error) {
	found := r.promises.broken
	for name, sql := range ownSQL {
		var lines []string
		if err := postgrestest.Row(ctx, r.servers.databaseURL, `SELECT coalesce(array_agg(line), '{}') FROM (`+sql+`) AS found (line)`, &lines); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, line := range lines {
			found = append(found, name+": "+line)
		}
	}
	for _, check := range []func(context.Context) ([]string, error){r.money, r.words, r.gate, r.audited} {
		more, err := check(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// paid is a payment of the database that went to the gateway.
type paid struct {
	Order, Status, Amount, Booking string
	ID                             int64
}

// charge is an entry of the gateway's ledger.
type charge struct {
	OrderID, Amount string
	Cancelled       bool
}

// money sets the gateway's ledger against the payments: I5, and that a 402 nets zero.
func (r *run) money(ctx context.Context) (found []string, err error) {
	a, err := r.shop.Send(ctx, http.MethodGet, r.front.Gateway+"/ledger", "")
	if err != nil {
		return nil, err
	}
	var ledger struct {
		Charges []charge
		Net     string
	}
	if err := json.Unmarshal(a.Body, &ledger); err != nil {
		return nil, err
	}
	var text []byte
	err = postgrestest.Row(ctx, r.servers.databaseURL, `
SELECT coalesce(json_agg(json_build_object('order', order_id, 'status', p.status, 'amount', p.amount::text, 'booking', b.status, 'id', b.id)), '[]')
FROM payment p JOIN booking b ON b.id = p.booking_id WHERE order_id IS NOT NULL`, &text)
	if err != nil {
		return nil, err
	}
	var payments []paid
	if err := json.Unmarshal(text, &payments); err != nil {
		return nil, err
	}
	return balance(ledger.Charges, ledger.Net, payments, r.promises.declined)
}

// balance says what of the charges is not as payments and declines have it.
func balance(charges []charge, net string, payments []paid, declined map[string]int64) (found []string, err error) {
	times, held, sum := map[string]int{}, map[string]decimal.Decimal{}, decimal.Zero
	for _, c := range charges {
		times[c.OrderID]++
		if c.Cancelled {
			continue
		}
		amount, err := decimal.NewFromString(c.Amount)
		if err != nil {
			return nil, err
		}
		held[c.OrderID], sum = held[c.OrderID].Add(amount), sum.Add(amount)
	}
	if sum.StringFixed(2) != net {
		found = append(found, fmt.Sprintf("I5: the ledger says %s, its charges %s", net, sum))
	}
	for _, p := range payments {
		want := decimal.Zero
		if p.Booking == "CONFIRMED" && p.Status == "SUCCESS" {
			if want, err = decimal.NewFromString(p.Amount); err != nil {
				return nil, err
			}
		}
		if got := held[p.Order]; !got.Equal(want) || times[p.Order] > 1 {
			found = append(found, fmt.Sprintf("I5: booking %d is %s, its payment of %s %s: the gateway holds %s in %d charges of order %s",
				p.ID, p.Booking, p.Amount, p.Status, got, times[p.Order], p.Order))
		}
		delete(times, p.Order)
	}
	for order := range times {
		found = append(found, "I5: the gateway has a charge of order "+order+", which no payment bears")
	}
	for order, id := range declined {
		if got := held[order]; !got.IsZero() || order == "" {
			found = append(found, fmt.Sprintf("H1: booking %d was told that order %q is declined, and the gateway holds %s", id, order, got))
		}
	}
	return found, nil
}

// words sets what buyers were told against the bookings: H1 and I8.
func (r *run) words(ctx context.Context) (found []string, err error) {
	var text []byte
	if err := postgrestest.Row(ctx, r.servers.databaseURL, `SELECT coalesce(json_object_agg(id, json_build_array(user_id, status)), '{}') FROM booking`, &text); err != nil {
		return nil, err
	}
	var rows map[int64][2]any
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	return r.promises.compare(rows), nil
}

// gate sets what the gate would sell against what the database would: G1.
func (r *run) gate(ctx context.Context) (found []string, err error) {
	var products map[int64]int64
	var text []byte
	if err := postgrestest.Row(ctx, r.servers.databaseURL, `SELECT json_object_agg(id, remaining_stock) FROM product WHERE status <> 'INACTIVE'`, &text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &products); err != nil {
		return nil, err
	}
	anybody, err := r.shop.Buyer(ctx, 1)
	if err != nil {
		return nil, err
	}
	for id, remaining := range products {
		// A hold whose booking was never made lapses by itself; a sweep heals what a death left between database and gate.
		var said string
		if err := eventually(ctx, healWithin, func() (bool, error) {
			available, err := available(ctx, anybody, id)
			said = fmt.Sprintf("G1: product %d: the gate would sell %d, the database %d", id, available, remaining)
			return available == remaining, err
		}); err != nil {
			found = append(found, fmt.Sprintf("%s (%v)", said, err))
		}
	}
	return found, nil
}

func available(ctx context.Context, b harness.Buyer, product int64) (int64, error) {
	a, err := b.Get(ctx, fmt.Sprintf("/products/%d", product))
	if err != nil {
		return 0, err
	}
	var got struct{ Available *int64 }
	if err := json.Unmarshal(a.Body, &got); err != nil || got.Available == nil {
		return 0, fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return *got.Available, nil
}

// audited is the product's own word on its invariants.
func (r *run) audited(ctx context.Context) (found []string, err error) {
	if err := eventually(ctx, healWithin, func() (bool, error) {
		found, err = r.audit(ctx)
		return len(found) == 0, err
	}); err != nil && len(found) == 0 {
		return nil, err
	}
	return found, nil
}

// audit asks for the violations of the moment.
func (r *run) audit(ctx context.Context) ([]string, error) {
	var got struct {
		Violations []struct{ Invariant, Detail string }
	}
	if err := r.shop.Admin(ctx, map[string]string{"action": "audit"}, &got); err != nil {
		return nil, err
	}
	var lines []string
	for _, v := range got.Violations {
		lines = append(lines, v.Invariant+": audit: "+v.Detail)
	}
	return lines, nil
}

// healWithin is how long after the quiet the gate may take to agree with the database.
const healWithin = 40 * time.Second

// eventually asks until the answer is yes.
func eventually(ctx context.Context, within time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		yes, err := ask()
		if yes && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("not within %v", within), err)
		}
		pause(ctx, 200*time.Millisecond)
	}
}
