package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stayhold/functions/local/harness"
)

const (
	// demoUsers are those of the demo data that buy; each has points for fifty bookings.
	demoUsers = 400
	plenty    = 1_000_000
	price     = "100000.00"
	// sweepInterval makes sure that SweepFunction runs, more than once, while its memory is looked at.
	sweepInterval = "5s"
	// memoryGoal is what an environment is to have in memory at most, in MiB, and memoryLimit what no run passes with.
	memoryGoal  = 16
	memoryLimit = 32
)

// flowLengths says how many buyers are on their way at a time, and for how long.
var flowLengths = []struct {
	buyers int
	length time.Duration
}{{1, 4 * time.Second}, {8, 6 * time.Second}, {32, 8 * time.Second}}

// mall is what the phases of the flow share.
type mall struct {
	*bench
	front  *harness.Front
	shop   *harness.Shop
	crowd  []buyer
	memory memories
}

// flowGroup measures purchases over HTTP through the local stack, and what its functions have in memory.
func flowGroup(ctx context.Context, b *bench) error {
	began := time.Now()
	f, err := harness.Open(ctx, harness.Options{
		Root: b.root, Bin: filepath.Join(b.dir, "bin"), Work: filepath.Join(b.work, "stack"), Vars: []string{"SWEEP_INTERVAL=" + sweepInterval},
	})
	if err != nil {
		return err
	}
	defer f.Stop()
	b.say("%-10s the local stack is up at %s  (%.1f s)", "stack", f.API, time.Since(began).Seconds())
	m := &mall{bench: b, front: f, shop: harness.NewShop(f), memory: memories{}}
	if m.crowd, err = m.buyers(ctx, demoUsers); err != nil {
		return err
	}
	phases := []func(context.Context) error{m.warmUp}
	for _, one := range flowLengths {
		phases = append(phases, func(ctx context.Context) error { return m.purchases(ctx, one.buyers, one.length) })
	}
	for _, phase := range append(phases, m.refusals, m.rest, m.audited) {
		if err := phase(ctx); err != nil {
			return err
		}
		if err := m.memory.look(f.Pid()); err != nil {
			return err
		}
	}
	m.memory.report(&b.report)
	return nil
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

// purchases measures the flow with so many buyers on their way at a time.
func (m *mall) purchases(ctx context.Context, buyers int, length time.Duration) error {
	next := m.visits()
	var mu sync.Mutex
	steps := map[string][]time.Duration{}
	one := func(ctx context.Context) error {
		v, err := next(ctx)
		if err != nil {
			return err
		}
		at := time.Now()
		return v.buyer.buy(ctx, v.product, func(step string) {
			now := time.Now()
			mu.Lock()
			steps[step] = append(steps[step], now.Sub(at))
			mu.Unlock()
			at = now
		})
	}
	before, err := m.spent()
	if err != nil {
		return err
	}
	s, err := play(ctx, slices.Repeat([]call{one}, buyers), m.during(length))
	if err != nil {
		return err
	}
	after, err := m.spent()
	if err != nil {
		return err
	}
	f := figures{PerSecond: s.perSecond(), P50Millis: p50(s), P99Millis: p99(s), CPUMillis: map[string]float64{"buyers": s.each(s.ownCPU)}, StepMillis: map[string]float64{}}
	for who, total := range after {
		f.CPUMillis[who] = s.each(total - before[who])
	}
	for step, all := range steps {
		slices.Sort(all)
		f.StepMillis[step] = p50(sample{latencies: all})
	}
	m.report.figures(fmt.Sprintf("flow-%d", buyers), fmt.Sprintf("the whole flow over HTTP, %d at a time", buyers), f)
	m.say("%-10s %2d at a time   %7.1f flows/s   p50 %.1f ms   p99 %.1f ms", "flow", buyers, f.PerSecond, f.P50Millis, f.P99Millis)
	return nil
}

// during lets a worker go on for that long.
func (m *mall) during(length time.Duration) func(time.Duration, int) bool {
	length = m.scaled(length)
	return func(spent time.Duration, _ int) bool { return spent < length }
}

// refusals measures a crowd at a product that is gone.
func (m *mall) refusals(ctx context.Context) error {
	const connections = 32
	product, err := m.shop.Product(ctx, price, 1)
	if err != nil {
		return err
	}
	if _, err := m.crowd[0].reserve(ctx, product); err != nil {
		return err
	}
	var next atomic.Int64
	body := fmt.Sprintf(`{"productId":%d}`, product)
	s, err := play(ctx, slices.Repeat([]call{func(ctx context.Context) error {
		one := m.crowd[1+next.Add(1)%int64(len(m.crowd)-1)]
		text, err := one.post(ctx, "/bookings/reserve", body, http.StatusConflict)
		if err == nil && !strings.Contains(string(text), `"code":"SOLD_OUT"`) {
			err = fmt.Errorf("unexpected answer: %s", text)
		}
		return err
	}}, connections), m.during(4*time.Second))
	if err != nil {
		return err
	}
	f := figures{PerSecond: s.perSecond(), P50Millis: p50(s), P99Millis: p99(s)}
	m.report.figures("refused-32", fmt.Sprintf("sold-out refusals over HTTP, %d connections", connections), f)
	m.say("%-10s %2d at a time   %7.0f refusals/s   p50 %.1f ms   p99 %.1f ms", "sold out", connections, f.PerSecond, f.P50Millis, f.P99Millis)
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
