package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stayhold/functions/local/harness"
)

const (
	// demoUsers are all those of the demo data; each has points for fifty bookings.
	demoUsers = 1000
	plenty    = 1_000_000
	price     = "100000.00"
	// sweepInterval makes sure that SweepFunction runs, more than once, while its memory is looked at.
	sweepInterval = "5s"
	// memoryGoal is what an environment is to have in memory at most, in MiB.
	memoryGoal = 16
	flowRounds = 5
	// lives is how often the stack is started.
	lives         = 3
	refusalsAtOne = 64 // connections
)

// flows says how many buyers are on their way at a time, for how long in each round, and what is held against them:
// three times the flows of a service that does the same with one statement after the other, and a third of its p99.
var flows = []struct {
	buyers    int
	length    time.Duration
	perSecond float64
	p99       float64 // ms
}{
	{1, 600 * time.Millisecond, 0, 0},
	{8, 1200 * time.Millisecond, 3 * 340, 38.0 / 3},
	{32, 1200 * time.Millisecond, 3 * 325, 0},
	{64, 1200 * time.Millisecond, 3 * 317, 0},
}

// mall is what the phases of the flow share.
type mall struct {
	*bench
	*lab
	front    *harness.Front
	shop     *harness.Shop
	crowd    []buyer
	memory   memories
	payments []string // what the stack is told of the gateway
}

// flowGroup measures purchases over HTTP through the local stack, and what its functions have in memory. The servers
// stand beside the stack, which is started more than once.
func flowGroup(ctx context.Context, b *bench) error {
	bin := filepath.Join(b.dir, "bin")
	if _, err := os.Stat(filepath.Join(bin, "local")); err != nil {
		return fmt.Errorf("%s is missing: run `make build`", filepath.Join(bin, "local"))
	}
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "servers"))
	if err != nil {
		return err
	}
	defer l.close()
	m := &mall{bench: b, lab: l, memory: memories{}}
	defer func() {
		if m.front != nil {
			m.front.Stop()
		}
	}()
	if m.payments, err = l.startGateway(ctx, b); err != nil {
		return err
	}
	for _, phase := range []func(context.Context) error{
		m.starts, m.warmUp, m.purchases, m.least, m.refusals, m.storms, m.rest, m.audited,
	} {
		if err := phase(ctx); err != nil {
			return err
		}
		if err := m.memory.look(m.front.Pid()); err != nil {
			return err
		}
	}
	m.memory.report(&b.report)
	return m.used("idle-memory-after", "    after all of the above", 0)
}

// buyers gives tokens to the demo's users.
func (m *mall) buyers(ctx context.Context, n int) ([]buyer, error) {
	all := make([]buyer, n)
	var next atomic.Int64
	_, err := play(ctx, slices.Repeat([]call{func(ctx context.Context) error {
		i := next.Add(1) - 1
		if i >= int64(n) {
			return nil
		}
		one, err := m.shop.Buyer(ctx, i+1)
		all[i] = buyer{one}
		return err
	}}, 8), func(time.Duration, int) bool { return next.Load() < int64(n) })
	return all, err
}

// visit is one purchase: a buyer and a product that he has not bought yet.
type visit struct {
	buyer   buyer
	product int64
}

// visits gives one after the other: when everybody has bought a product there is a new one.
func (m *mall) visits() func(context.Context) (visit, error) {
	var mu sync.Mutex
	var product int64
	n := 0
	return func(ctx context.Context) (visit, error) {
		mu.Lock()
		defer mu.Unlock()
		if n%len(m.crowd) == 0 {
			var err error
			if product, err = m.shop.Product(ctx, price, plenty); err != nil {
				return visit{}, err
			}
		}
		n++
		return visit{m.crowd[(n-1)%len(m.crowd)], product}, nil
	}
}

// warmUp starts every environment and fills every pool before anything is measured.
func (m *mall) warmUp(ctx context.Context) error {
	next := m.visits()
	_, err := play(ctx, slices.Repeat([]call{func(ctx context.Context) error {
		v, err := next(ctx)
		if err != nil {
			return err
		}
		return v.buyer.buy(ctx, v.product, func(string) {})
	}}, 32), func(_ time.Duration, n int) bool { return n < 3 })
	return err
}

// purchased is what one number of buyers did, round by round.
type purchased struct {
	samples []sample
	cpu     map[string]time.Duration
	steps   map[string][]time.Duration
}

// purchases measures the flow with different numbers of buyers on their way, in turns.
func (m *mall) purchases(ctx context.Context) error {
	all := make([]purchased, len(flows))
	for round := range flowRounds {
		for i, one := range flows {
			if err := m.purchase(ctx, &all[i], one.buyers, one.length); err != nil {
				return err
			}
			s := all[i].samples[round]
			m.say("%-10s round %d of %d   %2d at a time   %7.1f flows/s   p50 %.1f ms   p99 %.1f ms",
				"flow", round+1, flowRounds, one.buyers, s.perSecond(), p50(s), p99(s))
		}
	}
	for i, one := range flows {
		id, name := fmt.Sprintf("flow-%d", one.buyers), fmt.Sprintf("the whole flow over HTTP, %d at a time", one.buyers)
		f := all[i].figures(1)
		f.StepMillis = map[string]float64{}
		for step, took := range all[i].steps {
			slices.Sort(took)
			f.StepMillis[step] = p50(sample{latencies: took})
		}
		m.report.amount(id, name, "/s", over(all[i].samples, sample.perSecond)).aims(atLeast, one.perSecond).Figures = &f
		m.report.amount(id+"-p99", "    p99", "ms", over(all[i].samples, p99)).aims(atMost, one.p99)
	}
	return nil
}

// purchase is one round.
func (m *mall) purchase(ctx context.Context, into *purchased, buyers int, length time.Duration) error {
	next := m.visits()
	var mu sync.Mutex
	if into.steps == nil {
		into.steps = map[string][]time.Duration{}
	}
	one := func(ctx context.Context) error {
		v, err := next(ctx)
		if err != nil {
			return err
		}
		at := time.Now()
		return v.buyer.buy(ctx, v.product, func(step string) {
			now := time.Now()
			mu.Lock()
			into.steps[step] = append(into.steps[step], now.Sub(at))
			mu.Unlock()
			at = now
		})
	}
	return m.round(ctx, into, slices.Repeat([]call{one}, buyers), length)
}

// round has the calls made for that long, and notes who spent what on them.
func (m *mall) round(ctx context.Context, into *purchased, calls []call, length time.Duration) error {
	before, err := m.spent()
	if err != nil {
		return err
	}
	s, err := play(ctx, calls, m.during(length))
	if err != nil {
		return err
	}
	after, err := m.spent()
	if err != nil {
		return err
	}
	if into.cpu == nil {
		into.cpu = map[string]time.Duration{}
	}
	for who, total := range after {
		into.cpu[who] += total - before[who]
	}
	into.cpu["buyers"] += s.ownCPU
	into.samples = append(into.samples, s)
	return nil
}

// figures are the rounds' numbers; processor time is that of so many calls.
func (p purchased) figures(calls float64) figures {
	all := together(p.samples)
	f := figuresOf(all)
	for who, total := range p.cpu {
		f.CPUMillis[who] = calls * inMillis(total) / float64(len(all.latencies))
	}
	return f
}

// during lets a worker go on for that long.
func (m *mall) during(length time.Duration) func(time.Duration, int) bool {
	length = m.scaled(length)
	return func(spent time.Duration, _ int) bool { return spent < length }
}

// refusals measures a crowd at a product that is gone.
func (m *mall) refusals(ctx context.Context) error {
	product, err := m.shop.Product(ctx, price, 1)
	if err != nil {
		return err
	}
	if _, err := m.crowd[0].reserve(ctx, product); err != nil {
		return err
	}
	var next atomic.Int64
	calls := slices.Repeat([]call{func(ctx context.Context) error {
		_, err := m.crowd[1+next.Add(1)%int64(len(m.crowd)-1)].admitted(ctx, product)
		return err
	}}, refusalsAtOne)
	var all []sample
	for round := range flowRounds {
		s, err := play(ctx, calls, m.during(800*time.Millisecond))
		if err != nil {
			return err
		}
		all = append(all, s)
		m.say("%-10s round %d of %d   %2d at a time   %7.0f refusals/s   p50 %.1f ms   p99 %.1f ms", "sold out", round+1, flowRounds, refusalsAtOne, s.perSecond(), p50(s), p99(s))
	}
	f := figuresOf(together(all))
	m.report.amount("refused-64", fmt.Sprintf("sold-out refusals over HTTP, %d connections", refusalsAtOne), "/s", over(all, sample.perSecond)).aims(atLeast, 3*3500).Figures = &f
	return nil
}

// rest keeps the functions busy that no purchase calls: bookings are paid and cancelled, which sends money back over the
// queue, and everything is looked at.
func (m *mall) rest(ctx context.Context) error {
	product, err := m.shop.Product(ctx, price, plenty)
	if err != nil {
		return err
	}
	var next atomic.Int64
	_, err = play(ctx, slices.Repeat([]call{func(ctx context.Context) error {
		one := m.crowd[next.Add(1)%int64(len(m.crowd))]
		id, err := one.reserve(ctx, product)
		if err == nil {
			err = one.pay(ctx, id, func(string) {})
		}
		if err == nil {
			_, err = one.post(ctx, fmt.Sprintf("/bookings/%d/cancel", id), "", http.StatusOK)
		}
		for _, path := range []string{fmt.Sprintf("/bookings/%d", id), "/bookings", "/products", fmt.Sprintf("/checkout/%d", product), "/points"} {
			if err == nil {
				err = one.get(ctx, path)
			}
		}
		return err
	}}, 16), func(_ time.Duration, n int) bool { return n < 8 })
	return err
}

// audited holds the invariants against what the run has left, as soon as what is on its way has arrived.
func (m *mall) audited(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var got struct{ Violations []any }
		if err := m.shop.Admin(ctx, map[string]string{"action": "audit"}, &got); err != nil {
			return err
		}
		if len(got.Violations) == 0 {
			m.say("%-10s no violation", "audit")
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the audit finds %v", got.Violations), ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
