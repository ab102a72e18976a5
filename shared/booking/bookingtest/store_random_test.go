package bookingtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// operation is one call of a method, with its arguments chosen.
type operation struct {
	method string
	detail string
	run    func(s *party) reply
}

func (o operation) String() string { return o.method + " " + o.detail }

// chooser chooses operations that get somewhere, and often enough nowhere. Every
// duration is an odd number of minutes and time passes by tens of minutes, so that no
// moment falls together with a deadline.
type chooser struct {
	*rand.Rand
	pair     *pair
	bookings []opened
	products []int64
	keys     []booking.IdempotencyKey
	requests int
}

type opened struct {
	id, user int64
	total    decimal.Decimal
}

func (c *chooser) chance(percent int) bool { return c.IntN(100) < percent }

func among[T any](c *chooser, from ...T) T { return from[c.IntN(len(from))] }

func (c *chooser) user() int64 { return int64(1 + c.IntN(3)) }

// booking chooses one that exists, mostly a late one, or none.
func (c *chooser) booking() opened {
	if len(c.bookings) == 0 || c.chance(2) {
		return opened{id: 999, user: c.user(), total: amount("100")}
	}
	if c.chance(65) {
		return c.bookings[max(0, len(c.bookings)-1-c.IntN(3))]
	}
	return c.bookings[c.IntN(len(c.bookings))]
}

// asker is the booking's user, or now and then another.
func (c *chooser) asker(b opened) int64 {
	if c.chance(5) {
		return c.user()
	}
	return b.user
}

func (c *chooser) product() int64 {
	if c.chance(3) {
		return 999
	}
	return among(c, c.products...)
}

// key gives an Idempotency-Key to some requests: a few, used again and again.
func (c *chooser) key(user int64, method string) *booking.IdempotencyKey {
	c.requests++
	if c.chance(45) {
		return nil
	}
	k := booking.IdempotencyKey{
		UserID: user, Scope: method, Key: among(c, "k1", "k2", "k3"), Fingerprint: among(c, "same", "same", "same", "other"),
		RequestID: fmt.Sprintf("request-%d", c.requests),
	}
	c.keys = append(c.keys, k)
	return &k
}

func describe(k *booking.IdempotencyKey) string {
	if k == nil {
		return ""
	}
	return "key " + k.Key + "/" + k.Fingerprint
}

func amount(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// choose gives the next operation.
func (c *chooser) choose() operation {
	if len(c.bookings) == 0 && c.chance(90) {
		return c.open()
	}
	some := func(on func(opened) operation) func() operation {
		return func() operation { return on(c.booking()) }
	}
	table := []struct {
		weight int
		make   func() operation
	}{
		{35, some(c.onward)}, {8, c.open}, {3, some(c.register)}, {3, some(c.beginApproval)}, {7, c.endApproval},
		{3, some(c.claimApproval)}, {4, some(c.claimRefund)}, {4, c.endRefund}, {3, some(c.complete)}, {2, some(c.surrender)},
		{3, some(c.cancel)}, {3, some(c.lapse)}, {3, c.recall}, {2, c.putProduct}, {2, c.adjustStock}, {3, c.grantPoints},
		{2, c.redrive}, {2, c.markSent}, {1, c.purge}, {12, c.read},
	}
	sum := 0
	for _, entry := range table {
		sum += entry.weight
	}
	n := c.IntN(sum)
	for _, entry := range table {
		if n -= entry.weight; n < 0 {
			return entry.make()
		}
	}
	panic("the weights are not their sum")
}

// onward does what gets the booking further.
func (c *chooser) onward(b opened) operation {
	c.requests++
	now, err := c.pair.fake.Booking(context.Background(), 0, b.id)
	if err != nil {
		return c.open()
	}
	actions := now.NextActions()
	for _, to := range []struct {
		action booking.Action
		do     func(opened) operation
	}{{booking.ActionComplete, c.finish}, {booking.ActionApprove, c.beginApproval}, {booking.ActionRegister, c.register}} {
		if slices.Contains(actions, to.action) {
			return to.do(b)
		}
	}
	refund, _ := now.Refund()
	switch {
	case now.Status.Live():
		return among(c, c.settleCharge, c.settleCharge, c.claimApproval)(b)
	case refund == booking.RefundPending || refund == booking.RefundStuck:
		return among(c, c.claimRefund, c.claimApproval, func(opened) operation { return c.endRefund() })(b)
	case now.Status == booking.Confirmed && c.chance(50):
		return c.cancel(b)
	default:
		return c.open()
	}
}

// finish completes, or sees to it that it cannot be completed.
func (c *chooser) finish(b opened) operation {
	return among(c, c.complete, c.complete, c.complete, c.complete, c.surrender, c.deplete)(b)
}

// deplete takes what the booking would need to be completed: the stock, or the points.
func (c *chooser) deplete(b opened) operation {
	ctx := context.Background()
	now, _ := c.pair.fake.Booking(ctx, 0, b.id)
	product, err := c.pair.fake.Product(ctx, now.ProductID)
	if balance, _ := c.pair.fake.Points(ctx, b.user); balance.IsPositive() && c.chance(40) || err != nil || product.Remaining == 0 {
		return c.grant(b.user, balance.Neg())
	}
	return c.adjust(product.ID, -product.Remaining)
}

func (c *chooser) open() operation {
	o := booking.Opening{MaxOpenHolds: among(c, 1, 2, 2, 5)}
	o.Hold.UserID, o.Hold.ProductID = c.user(), c.product()
	o.Hold.Token = fmt.Sprintf("token-%d", 1+c.requests)
	if c.chance(12) {
		o.Hold.Token = fmt.Sprintf("token-%d", 1+c.IntN(1+c.requests))
	}
	ttl := among(c, 4*time.Minute, 46*time.Minute)
	o.Key = c.key(o.Hold.UserID, "open")
	return operation{"Open", fmt.Sprintf("user %d product %d %s for %s, at most %d %s", o.Hold.UserID, o.Hold.ProductID, o.Hold.Token, ttl, o.MaxOpenHolds, describe(o.Key)),
		func(s *party) reply {
			o.Deadline = s.in(ttl)
			r, err := s.Open(context.Background(), o)
			if s == c.pair.fake && err == nil {
				c.bookings = append(c.bookings, opened{r.Booking.ID, r.Booking.UserID, r.Booking.Total})
			}
			return reply{value: r, err: err}
		}}
}

func (c *chooser) register(b opened) operation {
	r := booking.Registration{UserID: c.asker(b), BookingID: b.id, Key: c.key(b.user, "register")}
	part := func(m booking.Method, a decimal.Decimal) booking.Part { return booking.Part{Method: m, Amount: a} }
	few, some := amount("30.50"), amount("45")
	r.Set = among(c,
		booking.Set{part(booking.Card, b.total)}, booking.Set{part(booking.Card, b.total)}, booking.Set{part(booking.YPay, b.total)},
		booking.Set{part(booking.Point, few), part(booking.Card, b.total.Sub(few))},
		booking.Set{part(booking.Card, b.total.Sub(few)), part(booking.Point, few)},
		booking.Set{part(booking.YPay, b.total.Sub(some)), part(booking.Point, some)},
		booking.Set{part(booking.Point, b.total)}, booking.Set{part(booking.Point, b.total)},
		booking.Set{part(booking.Card, some), part(booking.YPay, b.total.Sub(some))},
		booking.Set{part(booking.Card, some)},
	)
	return operation{"Register", fmt.Sprintf("user %d booking %d %v %s", r.UserID, r.BookingID, r.Set, describe(r.Key)),
		func(s *party) reply {
			result, err := s.Register(context.Background(), r)
			return reply{value: result, err: err}
		}}
}

func (c *chooser) beginApproval(b opened) operation {
	r := booking.ApprovalRequest{
		UserID: c.asker(b), BookingID: b.id, PaymentKey: among(c, "pk", "pk", "pk", "pk", "pk", "pk-2", ""), Owner: fmt.Sprintf("owner-%d", c.requests),
		Lease: among(c, time.Minute, 23*time.Minute), SendTime: time.Minute, Window: 12 * time.Minute, Limit: 64 * time.Minute,
		Key: c.key(b.user, "approve"),
	}
	return operation{"BeginApproval", fmt.Sprintf("user %d booking %d %q lease %s %s", r.UserID, b.id, r.PaymentKey, r.Lease, describe(r.Key)),
		func(s *party) reply {
			in, result, err := s.BeginApproval(context.Background(), r)
			if in != nil {
				s.intents = append(s.intents, *in)
			}
			return reply{value: struct {
				Intent *booking.Intent
				Result booking.Result
			}{in, result}, err: err}
		}}
}

func (c *chooser) endApproval() operation {
	if len(c.pair.fake.intents) == 0 {
		return c.beginApproval(c.booking())
	}
	n := len(c.pair.fake.intents) - 1
	if c.chance(25) {
		n = c.IntN(n + 1)
	}
	return c.finding(n)
}

// settleCharge ends the latest charge of the booking.
func (c *chooser) settleCharge(b opened) operation {
	for n, in := range slices.Backward(c.pair.fake.intents) {
		if in.BookingID == b.id {
			return c.finding(n)
		}
	}
	return c.claimApproval(b)
}

func (c *chooser) finding(n int) operation {
	f := booking.Finding{
		Code: among(c, booking.FoundApproved, booking.FoundApproved, booking.FoundApproved, booking.FoundApproved, booking.FoundDeclined,
			booking.FoundUnknown, booking.FoundUnknown, booking.FoundMismatched, booking.FoundNotSent, booking.FoundHoldLost, booking.FoundClosed),
		ByLookup: c.chance(30), DeclineCode: "INSUFFICIENT_FUNDS", Reference: among(c, "", "ref-1"), Amount: amount("77"),
	}
	return operation{"EndApproval", fmt.Sprintf("intent %d of booking %d %s %t", n, c.pair.fake.intents[n].BookingID, f.Code, f.ByLookup),
		func(s *party) reply {
			r, err := s.EndApproval(context.Background(), s.intents[n], f)
			return reply{value: r, err: err}
		}}
}

func (c *chooser) claimApproval(b opened) operation {
	owner, lease := fmt.Sprintf("owner-%d", c.requests), among(c, time.Minute, 23*time.Minute)
	return operation{"ClaimApproval", fmt.Sprintf("booking %d lease %s", b.id, lease), func(s *party) reply {
		in, err := s.ClaimApproval(context.Background(), b.id, owner, lease, 14*time.Minute)
		if err == nil {
			s.intents = append(s.intents, in)
		}
		return reply{value: in, err: err}
	}}
}

func (c *chooser) claimRefund(b opened) operation {
	owner, lease := fmt.Sprintf("owner-%d", c.requests), among(c, time.Minute, 23*time.Minute)
	return operation{"ClaimRefund", fmt.Sprintf("booking %d lease %s", b.id, lease), func(s *party) reply {
		in, err := s.ClaimRefund(context.Background(), b.id, owner, lease)
		if err == nil {
			s.refunds = append(s.refunds, in)
		}
		return reply{value: in, err: err}
	}}
}

func (c *chooser) endRefund() operation {
	if len(c.pair.fake.refunds) == 0 {
		return c.claimRefund(c.booking())
	}
	n := len(c.pair.fake.refunds) - 1
	if c.chance(25) {
		n = c.IntN(n + 1)
	}
	back, reference := c.chance(40), among(c, "", "back-1")
	return operation{"EndRefund", fmt.Sprintf("refund %d of booking %d back %t", n, c.pair.fake.refunds[n].BookingID, back), func(s *party) reply {
		return reply{err: s.EndRefund(context.Background(), s.refunds[n], back, reference)}
	}}
}

func (c *chooser) complete(b opened) operation {
	r := booking.Completion{UserID: c.asker(b), BookingID: b.id, MinLeft: among(c, 0, time.Minute), Key: c.key(b.user, "complete")}
	held := among(c, 0, 0, 3*time.Minute, 53*time.Minute)
	return operation{"Complete", fmt.Sprintf("user %d booking %d left %s held %s %s", r.UserID, b.id, r.MinLeft, held, describe(r.Key)), func(s *party) reply {
		if held > 0 {
			r.Held = s.in(held)
		}
		result, err := s.Complete(context.Background(), r)
		return reply{value: result, err: err}
	}}
}

func (c *chooser) surrender(b opened) operation {
	r := booking.Surrender{BookingID: b.id, Cause: among(c, booking.ErrHoldExpired, booking.ErrInsufficientPoints, booking.ErrSoldOut), Key: c.key(b.user, "complete")}
	return operation{"Surrender", fmt.Sprintf("booking %d %s %s", b.id, r.Cause.Code, describe(r.Key)), func(s *party) reply {
		result, err := s.Surrender(context.Background(), r)
		return reply{value: result, err: err}
	}}
}

func (c *chooser) cancel(b opened) operation {
	r := booking.Cancellation{UserID: c.asker(b), BookingID: b.id, Reason: among(c, "", "changed my mind"), Key: c.key(b.user, "cancel")}
	if c.chance(15) {
		r.UserID = 0
	}
	return operation{"Cancel", fmt.Sprintf("user %d booking %d %s", r.UserID, b.id, describe(r.Key)), func(s *party) reply {
		result, err := s.Cancel(context.Background(), r)
		return reply{value: result, err: err}
	}}
}

func (c *chooser) lapse(b opened) operation {
	grace := among(c, 0, 3*time.Minute)
	return operation{"Lapse", fmt.Sprintf("booking %d grace %s", b.id, grace), func(s *party) reply {
		result, err := s.Lapse(context.Background(), b.id, grace)
		return reply{value: result, err: err}
	}}
}
