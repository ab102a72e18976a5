package bookingtest_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
	"stayhold/shared/paymentgateway"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
)

const (
	gatewaySeeds = 150
	gatewayCalls = 40
	atOnce       = 24 // sequences that run at once: they mostly wait

	// realLate is when the simulator's late charges happen, fakeLate the fake's.
	realLate = 1500 * time.Millisecond
	fakeLate = 5 * time.Second
	// silence is how long the simulator is listened to where it is to say nothing.
	silence = 10 * time.Millisecond
)

// counter has each call and the money that it may move on both sides.
type counter struct {
	*rand.Rand
	t         *testing.T
	seed      uint64
	fake      *bookingtest.Gateway
	clock     time.Time // the fake's
	real      *paymentgateway.Client
	simulator *paymentgatewaytest.Simulator
	running   atomic.Int64 // requests that the simulator is working on
	late      time.Time    // when the oldest late charge to come was asked for; zero: none is
	lateEnd   time.Time    // when all of them have happened
	keys      []string     // paymentKeys of this sequence
	calls     []string
	seen      map[string]bool
}

var prefixes = []string{
	"ok-", "decline-", "timeout-", "lost-", "late-", "error-", "flaky-", "slow-3-", "mismatch-",
	"stuckcancel-", "slowcancel-1-", "slowcancel-3-", "strange-", "slowcancel-x-", "ok",
}

func newCounter(t *testing.T, seed uint64) *counter {
	t.Helper()
	c := &counter{Rand: rand.New(rand.NewPCG(seed, 2)), t: t, seed: seed, clock: time.UnixMilli(1_700_000_000_000), seen: map[string]bool{}}
	c.fake = bookingtest.NewGateway(func() time.Time { return c.clock })
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: "secret", LateAfter: realLate})
	must(t, err)
	c.simulator = simulator
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.running.Add(1)
		defer c.running.Add(-1)
		simulator.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		_ = simulator.Close()
		server.Close()
	})
	c.real = paymentgateway.New(paymentgateway.Options{CardURL: server.URL, CardSecret: "secret", Timeout: 20 * time.Second})
	for i, prefix := range rand.New(rand.NewPCG(seed, 3)).Perm(len(prefixes))[:5] {
		c.keys = append(c.keys, fmt.Sprintf("%s%d", prefixes[prefix], i))
	}
	return c
}

// await polls until the condition holds.
func (c *counter) await(what string, holds func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			c.fail("waited in vain for %s", what)
		}
	}
}

// ask sends one call to the simulator. Where the fake says that no answer comes, the
// caller goes away once the request is there and nothing was heard.
func (c *counter) ask(held bool, call func(context.Context) booking.Answer) booking.Answer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	if !held {
		return call(ctx)
	}
	answered := make(chan booking.Answer, 1)
	go func() { answered <- call(ctx) }()
	c.await("a request", func() bool { return c.running.Load() > 0 || len(answered) > 0 })
	select {
	case a := <-answered:
		return a
	case <-time.After(silence):
	}
	cancel()
	return <-answered
}

// both makes one call on both sides and compares the answers, and then the ledgers.
func (c *counter) both(name, about string, call func(context.Context, booking.Gateway) booking.Answer) {
	c.t.Helper()
	if !c.late.IsZero() && time.Since(c.late) > realLate/3 {
		c.pass() // before the simulator does by itself
	}
	fake := call(c.t.Context(), c.fake)
	held := fake.Cause != nil && strings.HasSuffix(fake.Cause.Error(), "no answer")
	asked := time.Now()
	real := c.ask(held, func(ctx context.Context) booking.Answer { return call(ctx, c.real) })
	c.await("the end of the request", func() bool { return c.running.Load() == 0 })
	if held && strings.Contains(about, " late-") {
		if c.late.IsZero() {
			c.late = asked
		}
		c.lateEnd = time.Now().Add(realLate)
	}
	c.calls = append(c.calls, fmt.Sprintf("%s %s: %s", name, about, said(fake)))
	if said(fake) != said(real) {
		c.fail("the fake answers %s, the simulator %s (%v)", said(fake), said(real), real.Cause)
	}
	if ours, theirs := c.fakeLedger(), c.realLedger(); ours != theirs {
		c.fail("the fake's ledger is\n%sthe simulator's\n%s", ours, theirs)
	}
	c.seen[fmt.Sprintf("%s %s", name, fake.Verdict)] = true
	for _, prefix := range prefixes {
		if strings.Contains(about, " "+prefix) {
			c.seen[fmt.Sprintf("%s %s %s", name, prefix, fake.Verdict)] = true
		}
	}
}

func said(a booking.Answer) string {
	return fmt.Sprintf("%s %q %q %s cause %t", a.Verdict, a.Reference, a.DeclineCode, a.Amount.StringFixed(2), a.Cause != nil)
}

// fail ends this sequence: each has a goroutine of its own, since more of them wait at
// once than tests run in parallel.
func (c *counter) fail(format string, args ...any) {
	c.t.Helper()
	defer runtime.Goexit()
	c.t.Errorf("SEED=%d, after %d calls:\n%s\n%s", c.seed, len(c.calls), strings.Join(c.calls, "\n"), fmt.Sprintf(format, args...))
}

func (c *counter) fakeLedger() string {
	text := ""
	for _, e := range c.fake.Ledger() {
		text += fmt.Sprintln(e.OrderID, e.PaymentKey, e.Amount.StringFixed(2), e.Cancelled, e.Confirms, e.Cancels)
	}
	return text
}

func (c *counter) realLedger() string {
	text := ""
	for _, e := range c.simulator.Ledger().Charges {
		text += fmt.Sprintln(e.OrderID, e.PaymentKey, e.Amount, e.Cancelled, e.Confirms, e.Cancels)
	}
	return text
}

// pass lets every late charge happen.
func (c *counter) pass() {
	if !c.late.IsZero() {
		<-time.After(time.Until(c.lateEnd))
	}
	c.late, c.clock = time.Time{}, c.clock.Add(fakeLate)
	c.calls = append(c.calls, "time passes")
}

// charge is one that may be asked: mostly its order's own, at times with another's key
// or amount.
func (c *counter) charge() (booking.Charge, string) {
	n := 1 + c.IntN(3)
	ch := booking.Charge{
		Method: booking.Card, OrderID: fmt.Sprintf("order-%06d", n), PaymentKey: c.keys[n-1],
		Amount: decimal.New(int64(n)*5000050, -2),
	}
	if c.IntN(3) == 0 {
		ch.PaymentKey = c.keys[c.IntN(len(c.keys))]
	}
	ch.Key = "confirm-" + ch.PaymentKey + "-" + ch.OrderID
	if c.IntN(6) == 0 {
		ch.Key = fmt.Sprintf("key-%d", c.IntN(2))
	}
	if c.IntN(10) == 0 {
		ch.Amount = decimal.NewFromInt(1)
	}
	switch c.IntN(50) {
	case 0:
		ch.Method = booking.Point
	case 1:
		ch.OrderID = ""
	case 2:
		ch.PaymentKey = ""
	case 3:
		ch.Key = ""
	case 4:
		ch.Amount = decimal.Zero
	case 5:
		ch.OrderID = "short"
	case 6:
		ch.Method = booking.YPay
	case 7:
		ch.Amount = decimal.New(1, 14)
	}
	return ch, fmt.Sprintf("%s order %q key %s idempotency %s amount %s", ch.Method, ch.OrderID, ch.PaymentKey, ch.Key, ch.Amount)
}

// call makes one call at random.
func (c *counter) call() {
	c.t.Helper()
	ch, text := c.charge()
	switch n := c.IntN(100); {
	case n < 45:
		c.both("Confirm", text, func(ctx context.Context, g booking.Gateway) booking.Answer { return g.Confirm(ctx, ch) })
	case n < 70:
		c.both("Lookup", text, func(ctx context.Context, g booking.Gateway) booking.Answer { return g.Lookup(ctx, ch) })
	case n < 95:
		if ch.Key != "" && c.IntN(3) > 0 {
			ch.Key = fmt.Sprintf("cancel-%d-%s", c.IntN(2), ch.OrderID)
		}
		reason := []string{"", "compensation"}[c.IntN(2)]
		c.both("Cancel", text+" under "+ch.Key, func(ctx context.Context, g booking.Gateway) booking.Answer { return g.Cancel(ctx, ch, reason) })
	default:
		c.pass()
	}
}

// The fake answers as the client on the simulator does, and takes and gives back the
// same money.
func TestGatewayConforms(t *testing.T) {
	t.Parallel()
	seeds := seedsOf(t, gatewaySeeds)
	var all sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	counters := make([]*counter, len(seeds))
	for i, seed := range seeds {
		c := newCounter(t, seed)
		counters[i] = c
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			for range gatewayCalls {
				c.call()
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, c := range counters {
		maps.Copy(seen, c.seen)
	}
	wantSeen(t, seeds, seen, gatewayAnswers)
}

// gatewayAnswers is every call with every verdict that the simulator can bring about,
// and what each prefix is for. (It never shows an order as in progress.)
var gatewayAnswers = slices.Concat(
	[]string{
		"Confirm APPROVED", "Confirm DECLINED", "Confirm REFUSED", "Confirm UNKNOWN",
		"Lookup APPROVED", "Lookup DECLINED", "Lookup MISMATCHED", "Lookup NOT_FOUND", "Lookup RETURNED", "Lookup UNKNOWN",
		"Cancel RETURNED", "Cancel REFUSED", "Cancel UNKNOWN",
	},
	[]string{
		"Confirm ok- APPROVED", "Lookup ok- RETURNED", "Confirm decline- DECLINED", "Lookup decline- DECLINED",
		"Confirm timeout- UNKNOWN", "Lookup timeout- NOT_FOUND", "Confirm lost- UNKNOWN", "Lookup lost- APPROVED", "Confirm lost- APPROVED",
		"Confirm late- UNKNOWN", "Lookup late- NOT_FOUND", "Lookup late- APPROVED", "Confirm late- APPROVED", "Cancel late- UNKNOWN", "Cancel late- RETURNED",
		"Confirm error- UNKNOWN", "Lookup error- NOT_FOUND", "Confirm flaky- UNKNOWN", "Confirm flaky- APPROVED", "Confirm slow-3- APPROVED",
		"Confirm mismatch- UNKNOWN", "Lookup mismatch- MISMATCHED", "Cancel mismatch- RETURNED",
		"Confirm stuckcancel- APPROVED", "Cancel stuckcancel- UNKNOWN", "Cancel slowcancel-1- UNKNOWN", "Cancel slowcancel-1- RETURNED",
		"Cancel slowcancel-3- UNKNOWN", "Cancel slowcancel-3- RETURNED", "Confirm strange- DECLINED", "Confirm slowcancel-x- DECLINED",
	},
)

// A gateway that heals gives back what it did not, under the key that failed.
func TestGatewayHeals(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := bookingtest.NewGateway(time.Now)
	c := booking.Charge{Method: booking.Card, OrderID: "order-000001", PaymentKey: "stuckcancel-1", Key: "confirm", Amount: decimal.NewFromInt(5)}
	if a := g.Confirm(ctx, c); a.Verdict != booking.VerdictApproved {
		t.Fatalf("%+v", a)
	}
	c.Key = "cancel"
	for range 2 {
		if a := g.Cancel(ctx, c, "x"); a.Verdict != booking.VerdictUnknown {
			t.Fatalf("stuck: %+v", a)
		}
	}
	g.Heal()
	for range 2 {
		if a := g.Cancel(ctx, c, "x"); a.Verdict != booking.VerdictReturned {
			t.Fatalf("healed: %+v", a)
		}
	}
	if l := g.Ledger(); len(l) != 1 || !l[0].Cancelled || l[0].Cancels != 4 || l[0].Confirms != 1 {
		t.Errorf("%+v", l)
	}
}
