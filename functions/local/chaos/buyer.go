package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"stayhold/functions/local/harness"
)

const (
	price = "1000.00"
	// patience is how long a buyer tries one step again; then he walks away, and what he left is the sweep's.
	patience = 8 * time.Second
	// pollEvery is how long he waits between two tries.
	pollEvery = 150 * time.Millisecond
	// demoUsers are those of the demo data, who have points.
	demoUsers = 1000
)

// sets are the payment sets, each of them worth the price.
var sets = []string{
	`{"payments":[{"method":"CARD","amount":"1000.00"}]}`,
	`{"payments":[{"method":"YPAY","amount":"1000.00"}]}`,
	`{"payments":[{"method":"POINT","amount":"1000.00"}]}`,
	`{"payments":[{"method":"POINT","amount":"300.00"},{"method":"CARD","amount":"700.00"}]}`,
	`{"payments":[{"method":"POINT","amount":"300.00"},{"method":"YPAY","amount":"700.00"}]}`,
}

// prefixes say how the gateway behaves, each as often as it is named.
var prefixes = []string{
	"ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "slow-100", "slow-300", "lost", "lost", "flaky", "flaky", "decline", "decline",
	"late", "slowcancel-1", "slowcancel-2", "error", "timeout", "mismatch",
}

// crowd is the buyers at work: so many visits at a time, each by another buyer.
type crowd struct {
	shop     *harness.Shop
	promises *promises
	scarce   int64 // a product with one unit, whose buyers cancel

	mu      sync.Mutex
	random  *rand.Rand
	visits  int64
	product int64 // of which there is plenty
	tokens  map[int64]harness.Buyer
}

// visit is one buyer's way through the shop, with what he will do on it.
type visit struct {
	*crowd
	buyer    harness.Buyer
	product  int64
	set      string
	prefix   string
	name     string // of this visit, in his keys
	keyed    bool   // he sends an Idempotency-Key
	twice    bool   // he clicks twice
	leaves   string // the step after which he walks away
	cancels  string // the step after which he cancels; "approve" beside it when hasty
	hasty    bool
	returned bool // declined once already
}

// run makes visits until closing ends; those under way then are finished, unless ctx ends too.
func (c *crowd) run(ctx, closing context.Context, buyers int) error {
	var all sync.WaitGroup
	faults := make([]error, buyers)
	for i := range buyers {
		all.Go(func() {
			for closing.Err() == nil && faults[i] == nil {
				var v *visit
				if v, faults[i] = c.next(ctx); v != nil {
					c.promises.ended(v.walk(ctx))
				}
			}
		})
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// next decides who comes, and what he will do. Nil without an error: there is no product for him at the moment.
func (c *crowd) next(ctx context.Context) (*visit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.visits%(demoUsers*9/10) == 0 {
		// Everybody has bought the last one.
		made, err := c.shop.Product(ctx, price, 1_000_000)
		if err != nil {
			pause(ctx, pollEvery)
			return nil, nil
		}
		c.product = made
	}
	c.visits++
	id := 1 + c.visits%demoUsers
	buyer, known := c.tokens[id]
	if !known {
		var err error
		if buyer, err = c.shop.Buyer(ctx, id); err != nil {
			return nil, fmt.Errorf("a token: %w", err)
		}
		c.tokens[id] = buyer
	}
	of := func(percent int) bool { return c.random.IntN(100) < percent }
	v := &visit{
		crowd: c, buyer: buyer, product: c.product, set: sets[c.random.IntN(len(sets))], prefix: prefixes[c.random.IntN(len(prefixes))],
		name: fmt.Sprintf("%d-%d", c.visits, c.random.Uint32()), keyed: of(50), twice: of(15),
	}
	steps := []string{"reserve", "register", "approve", "complete"}
	switch {
	case of(15):
		v.product, v.cancels = c.scarce, "complete"
	case of(15):
		v.cancels, v.hasty = steps[c.random.IntN(len(steps))], of(50)
	case of(5):
		v.leaves = steps[c.random.IntN(3)]
	}
	return v, nil
}

// walk goes through the steps and says how it ended.
func (v *visit) walk(ctx context.Context) string {
	b, end := v.reserve(ctx)
	if end != "" {
		return end
	}
	path := fmt.Sprintf("/bookings/%d", b.BookingID)
	for {
		if v.after("reserve") {
			return v.leave(ctx, path, b.BookingID, "reserve")
		}
		a, ok := v.ask(ctx, "register", path+"/payments/register", v.set)
		if !ok || (a.Status != http.StatusOK && a.Status != http.StatusCreated) {
			return v.stopped(ctx, path, "register", a, ok)
		}
		b, _ = bookingOf(a.Body)
		if v.after("register") {
			return v.leave(ctx, path, b.BookingID, "register")
		}
		if v.hasty && v.cancels == "approve" {
			return v.cancelBeside(ctx, path, b)
		}
		a, ok = v.approve(ctx, path, b)
		if ok && a.Status == http.StatusPaymentRequired && !v.returned {
			v.returned, v.prefix, v.set, v.name = true, "ok", sets[0], v.name+"-again"
			continue
		}
		if !ok || a.Status != http.StatusOK {
			return v.stopped(ctx, path, "approve", a, ok)
		}
		break
	}
	if v.after("approve") {
		return v.leave(ctx, path, b.BookingID, "approve")
	}
	a, ok := v.ask(ctx, "complete", path+"/complete", "")
	if !ok || a.Status != http.StatusOK {
		return v.stopped(ctx, path, "complete", a, ok)
	}
	if v.after("complete") {
		return v.leave(ctx, path, b.BookingID, "complete")
	}
	return "CONFIRMED"
}

func (v *visit) reserve(ctx context.Context) (booking, string) {
	a, ok := v.ask(ctx, "reserve", "/bookings/reserve", fmt.Sprintf(`{"productId":%d}`, v.product))
	// A refusal names the booking too; its status is a number.
	var got booking
	var named struct{ BookingID int64 }
	switch {
	case !ok:
		return got, "gave up at reserve"
	case a.Status == http.StatusCreated, a.Code() == "DUPLICATE_RESERVATION", a.Code() == "ALREADY_PURCHASED":
		if err := json.Unmarshal(a.Body, &named); err != nil || named.BookingID == 0 {
			return got, "reserve names no booking"
		}
		got.BookingID = named.BookingID
		if a.Code() != "ALREADY_PURCHASED" {
			return got, ""
		}
		// What he bought here is given back, so that he may buy again.
		v.cancels = "complete"
		return got, v.leave(ctx, fmt.Sprintf("/bookings/%d", got.BookingID), got.BookingID, "complete")
	}
	return got, a.Code()
}

// approve has the payment charged, under the same paymentKey each time.
func (v *visit) approve(ctx context.Context, path string, b booking) (harness.Answer, bool) {
	a, ok := v.ask(ctx, "approve", path+"/payments/pg-approve", fmt.Sprintf(`{"paymentKey":"%s-%s"}`, v.prefix, v.name))
	if ok && a.Status == http.StatusPaymentRequired {
		v.promises.decline(b.charged(), b.BookingID)
	}
	return a, ok
}

// cancelBeside cancels while the charge is under way.
func (v *visit) cancelBeside(ctx context.Context, path string, b booking) string {
	var both sync.WaitGroup
	both.Go(func() { v.approve(ctx, path, b) })
	end := v.leave(ctx, path, b.BookingID, "approve")
	both.Wait()
	return end
}

func (v *visit) after(step string) bool {
	return v.leaves == step || (v.cancels == step && (step != "approve" || !v.hasty))
}

// leave cancels, if that is his plan, or just goes.
func (v *visit) leave(ctx context.Context, path string, id int64, step string) string {
	if v.cancels == "" {
		return "left after " + step
	}
	v.promises.cancelling(id, v.buyer.ID)
	if a, ok := v.ask(ctx, "cancel", path+"/cancel", ""); ok && a.Status == http.StatusOK {
		return "cancelled after " + step
	} else if ok {
		return "cancel refused: " + a.Code()
	}
	return "gave up at cancel"
}

// stopped is the end of a visit that did not get further, with a look at what became of it.
func (v *visit) stopped(ctx context.Context, path, step string, a harness.Answer, answered bool) string {
	if got, err := v.buyer.Get(ctx, path); err == nil {
		v.promises.answered("look", got.Status, got.Code(), got.Body)
		v.note(got)
	}
	if !answered {
		return "gave up at " + step
	}
	if a.Code() == "" {
		return fmt.Sprintf("%s: %d", step, a.Status)
	}
	return a.Code()
}

// ask makes one step, again and again while its outcome is open. False: he lost his patience.
func (v *visit) ask(ctx context.Context, step, path, body string) (harness.Answer, bool) {
	key := ""
	if v.keyed {
		key = step + "-" + v.name
	}
	for end := time.Now().Add(patience); ; {
		var first, second harness.Answer
		var err, err2 error
		var clicks sync.WaitGroup
		clicks.Go(func() { first, err = v.click(ctx, step, path, body, key) })
		if v.twice {
			clicks.Go(func() { second, err2 = v.click(ctx, step, path, body, key) })
		}
		clicks.Wait()
		if v.twice && err2 == nil && !open(second) && (err != nil || open(first) || second.Status < first.Status) {
			first, err = second, nil
		}
		if err == nil && !open(first) {
			return first, true
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return first, false
		}
		pause(ctx, pollEvery)
	}
}

// click sends one request and takes note of what it was told.
func (v *visit) click(ctx context.Context, step, path, body, key string) (harness.Answer, error) {
	a, err := v.buyer.Post(ctx, path, body, key)
	if err != nil {
		v.promises.answered(step, 0, "no answer", nil)
		return a, err
	}
	v.promises.answered(step, a.Status, a.Code(), a.Body)
	v.note(a)
	return a, nil
}

func (v *visit) note(a harness.Answer) {
	if b, is := bookingOf(a.Body); is {
		v.promises.told(b, v.buyer.ID, a.Header.Get("Idempotency-Replayed") != "")
	}
}

// open says that the same request may still have another answer.
func open(a harness.Answer) bool {
	code := a.Code()
	return a.Status >= 500 || a.Status == http.StatusAccepted || code == "PAYMENT_IN_PROGRESS" || code == "IDEMPOTENCY_IN_PROGRESS"
}
