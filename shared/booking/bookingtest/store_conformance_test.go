package bookingtest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// How much the differential run does: so many seeds, so many operations of each.
const (
	seeds      = 152
	operations = 80
	workers    = 4
)

// TestDatabaseConforms gives random operations to the fake and to Postgres, and holds
// each answer and at the end all rows against each other. SEED=n runs one seed.
func TestDatabaseConforms(t *testing.T) {
	t.Parallel()
	if replay := os.Getenv("SEED"); replay != "" {
		seed, err := strconv.ParseUint(replay, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		newPair(t).compare(seed, &coverage{})
		return
	}
	var met coverage
	t.Run("seeds", func(all *testing.T) {
		for worker := range uint64(workers) {
			all.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				p := newPair(t)
				for seed := worker + 1; seed <= seeds && !all.Failed(); seed += workers {
					p.compare(seed, &met)
				}
			})
		}
	})
	if !t.Failed() {
		met.check(t)
	}
}

// tries bounds how often a seed is begun again because the machine was too slow.
const tries = 5

// compare runs one seed.
func (p *pair) compare(seed uint64, met *coverage) {
	p.t.Helper()
	for range tries {
		p.clear()
		if p.run(seed, met) {
			return
		}
	}
	p.t.Fatalf("seed %d: an operation took longer than %s in each of %d tries", seed, slow, tries)
}

// idle is for how long real time may pass: long before the shortest backoff.
const idle = 1500 * time.Millisecond

func (p *pair) run(seed uint64, met *coverage) (inTime bool) {
	p.t.Helper()
	c := &chooser{Rand: rand.New(rand.NewPCG(seed, 0)), pair: p}
	var trace []operation
	for len(trace) < operations {
		o, passed := c.next(len(trace))
		if passed > 0 || time.Since(p.passed) > idle {
			p.pass(max(passed, 10*time.Minute))
			o.detail += " (after " + passed.String() + ")"
		}
		trace = append(trace, o)
		fake, real, inTime := p.both(o.run)
		if !inTime {
			return false
		}
		met.add(o.method, fake.err)
		if f, r := p.fake.render(fake), p.real.render(real); !p.equal(f, r) {
			p.t.Fatalf("SEED=%d: after\n%s\nthe fake says\n    %s\nand Postgres\n    %s", seed, list(trace), f, r)
		}
	}
	if fault := p.differentRow(); fault != "" {
		p.t.Fatalf("SEED=%d: after\n%s\n%s", seed, list(trace), fault)
	}
	return true
}

// next gives the n-th operation, and for how long nothing happens before it.
func (c *chooser) next(n int) (operation, time.Duration) {
	if n < 2 {
		stock := int64(2 + n)
		return c.draft(booking.ProductDraft{Name: "Room", Price: amount("100"), Status: "ACTIVE", Stock: &stock}, 30*24*time.Hour+5*time.Minute), 0
	}
	if n < 5 {
		return c.grant(int64(n-1), amount("130")), 0
	}
	var passed time.Duration
	if c.chance(7) {
		passed = among(c, 10*time.Minute, 10*time.Minute, 10*time.Minute, 10*time.Minute, 30*time.Minute, 30*time.Minute, 25*time.Hour, 8*24*time.Hour)
	}
	return c.choose(), passed
}

func list(trace []operation) string {
	lines := make([]string, len(trace))
	for i, o := range trace {
		lines[i] = fmt.Sprintf("    %2d %s", i+1, o)
	}
	return strings.Join(lines, "\n")
}

// differentRow holds all rows against each other, and tells the first difference.
func (p *pair) differentRow() string {
	var fake, real map[string][]map[string]any
	p.both(func(s *party) reply {
		if s == p.fake {
			fake = s.rows()
		} else {
			real = s.rows()
		}
		return reply{}
	})
	for _, t := range tables {
		for i := range max(len(fake[t.name]), len(real[t.name])) {
			f, r := p.fake.render(row(t, fake[t.name], i)), p.real.render(row(t, real[t.name], i))
			if !p.equal(f, r) {
				return fmt.Sprintf("row %d of %s is in the fake\n    %s\nand in Postgres\n    %s", i+1, t.name, f, r)
			}
		}
	}
	return ""
}

// row gives a row as an answer.
func row(t table, rows []map[string]any, i int) reply {
	if i >= len(rows) {
		return reply{}
	}
	if slices.Contains(unnamed, t.name) {
		delete(rows[i], "id")
	}
	return reply{value: rows[i]}
}

// coverage is which methods were called, and which errors each gave.
type coverage struct {
	sync.Mutex
	met map[string]map[string]int
}

func (c *coverage) add(method string, err error) {
	c.Lock()
	defer c.Unlock()
	if c.met == nil {
		c.met = map[string]map[string]int{}
	}
	if c.met[method] == nil {
		c.met[method] = map[string]int{}
	}
	if err == nil {
		c.met[method]["nil"]++
	}
	for name, known := range named {
		if errors.Is(err, known) {
			c.met[method][name]++
		}
	}
}

// check wants every method of the store to have succeeded, and every error that its
// comment names to have been given.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	promised := promises(t)
	store := reflect.TypeFor[booking.Store]()
	for i := range store.NumMethod() {
		method := store.Method(i).Name
		for _, name := range append(promised[method], "nil") {
			if n := c.met[method][name]; n == 0 {
				t.Errorf("%s never gave %s", method, name)
			}
		}
	}
	t.Logf("%d seeds, %d operations each: %v", seeds, operations, c.met)
}
