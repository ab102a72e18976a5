package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/postgres/postgrestest"
)

const (
	stormUnits = 10
	// stormHolds is how many units a user may hold: whoever is quick gets one in each storm.
	stormHolds = 20
)

// starts starts the stack more than once, on servers that are up and a schema that is there, each time with a storm as
// its first traffic. The last one stays.
func (m *mall) starts(ctx context.Context) error {
	var ready, storm []float64
	n, crowd := lives, demoUsers
	if m.quick {
		n, crowd = 1, demoUsers/10
	}
	for life := range n {
		if m.front != nil {
			m.front.Stop()
		}
		began := time.Now()
		var err error
		if m.front, err = harness.Open(ctx, harness.Options{
			Root: m.root, Bin: filepath.Join(m.dir, "bin"), Work: filepath.Join(m.work, fmt.Sprintf("stack-%d", life)),
			Vars: append([]string{
				"SWEEP_INTERVAL=" + sweepInterval, fmt.Sprintf("MAX_OPEN_HOLDS=%d", stormHolds), "REDIS_URL=" + m.redis,
				"MIGRATE_DATABASE_URL=" + m.database, "DATABASE_URL=" + postgrestest.Functions(m.database),
			}, m.payments...),
		}); err != nil {
			return err
		}
		ready = append(ready, time.Since(began).Seconds())
		m.say("%-10s the local stack is up at %s  (%.1f s)", "stack", m.front.API, ready[life])
		if life == 0 {
			if err := m.used("idle-memory", "memory of all functions, just started", 400); err != nil {
				return err
			}
		}
		m.shop = harness.NewShop(m.front)
		if m.crowd, err = m.buyers(ctx, crowd); err != nil {
			return err
		}
		took, err := m.storm(ctx, ", the first traffic of all")
		if err != nil {
			return err
		}
		storm = append(storm, took)
	}
	m.report.amount("storm-ready", "the stack is ready, servers up", "s", spreadOf(ready)).aims(atMost, 1)
	m.report.amount("storm-cold", fmt.Sprintf("%d buyers at once for %d units, as first traffic: the last answer", len(m.crowd), stormUnits), "s", spreadOf(storm)).aims(atMost, 0.6)
	return nil
}

// storms repeats the storm when everything is warm but the product's gate.
func (m *mall) storms(ctx context.Context) error {
	var all []float64
	for range flowRounds {
		took, err := m.storm(ctx, "")
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	m.report.amount("storm-warm", "    the same, warm", "s", spreadOf(all))
	return nil
}

// storm has everybody ask for a new product at the same moment, each on a connection of his own, and returns the seconds
// until the last has his answer.
func (m *mall) storm(ctx context.Context, when string) (seconds float64, err error) {
	product, err := m.product(ctx, stormUnits)
	if err != nil {
		return 0, err
	}
	var admitted atomic.Int64
	calls := make([]call, len(m.crowd))
	for i, one := range m.crowd {
		calls[i] = func(ctx context.Context) error {
			got, err := one.admitted(ctx, product)
			if got {
				admitted.Add(1)
			}
			return err
		}
	}
	s, err := play(ctx, calls, func(_ time.Duration, n int) bool { return n < 1 })
	if err == nil && admitted.Load() != stormUnits {
		err = fmt.Errorf("%d were admitted to %d units", admitted.Load(), stormUnits)
	}
	m.say("%-10s %d buyers for %d units%s: %.2f s", "storm", len(m.crowd), stormUnits, when, s.took.Seconds())
	return s.took.Seconds(), err
}
